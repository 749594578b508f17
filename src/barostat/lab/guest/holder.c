/* The holder: the first held_bytes of its memory are touched, the first hot share again and again. */
#define _GNU_SOURCE
#include "workload.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHUNK_BYTES (64 * PAGE_BYTES)  /* between two looks at the clock and at new orders */
#define STEP_BYTES (512 * PAGE_BYTES)  /* memory is committed and given back in these */
#define SLOW_US 1000ULL                /* plain speed is 10 us a chunk, 400 us at first touch */
#define PASS_PERIOD_US 250000ULL
#define PASS_REST_US 50000ULL          /* slept after a pass at least: never a whole core */

static char *memory;
static uint64_t committed_bytes; /* the first so many bytes of it may be touched */
static struct source pressure = {.path = "/proc/pressure/memory"};

/*
 * How much of a chunk's time was spent waiting for memory. With a page fetched from swap: all.
 * Else as much as the kernel says tasks waited; a host that gave us no CPU is not the memory's fault.
 */
static uint64_t stall_us(uint64_t took_us)
{
    static uint64_t faults_seen, waited_seen_us;
    struct rusage usage;
    if (took_us < SLOW_US)
        return 0;
    getrusage(RUSAGE_SELF, &usage);
    refresh(&pressure);
    uint64_t faults = (uint64_t)usage.ru_majflt - faults_seen;
    uint64_t waited_us = total_after(&pressure, "some") - waited_seen_us;
    faults_seen += faults;
    waited_seen_us += waited_us;
    return faults > 0 ? took_us : smaller(took_us, waited_us);
}

/* Write one word to each page of a chunk. */
static void touch(uint64_t from, uint64_t to, uint64_t word)
{
    uint64_t begin = now_us();
    for (uint64_t at = from; at < to; at += PAGE_BYTES)
        *(volatile uint64_t *)(memory + at) = word ^ at;
    shared->stalled_us += stall_us(now_us() - begin);
}

/* Commit step by step: a wish beyond memory and swap then ends in the OOM killer, not in ENOMEM. */
static void grow_one_chunk(uint64_t wish)
{
    uint64_t from = shared->held_bytes;
    if (from == committed_bytes) {
        if (mprotect(memory + from, STEP_BYTES, PROT_READ | PROT_WRITE) < 0)
            die("mprotect");
        committed_bytes += STEP_BYTES;
    }
    uint64_t to = smaller(smaller(from + CHUNK_BYTES, committed_bytes), wish);
    touch(from, to, from + 1);
    shared->held_bytes = to;
}

static void shrink(uint64_t wish)
{
    uint64_t kept = (wish + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
    madvise(memory + wish, committed_bytes - wish, MADV_DONTNEED);
    if (kept < committed_bytes)
        mmap(memory + kept, committed_bytes - kept, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    committed_bytes = kept;
    shared->held_bytes = wish;
}

/* Carry out orders until they stand; true if anything was to be done. */
static int obey(void)
{
    int worked = 0;
    for (;;) {
        uint64_t wish = shared->wish_bytes, held = shared->held_bytes;
        if (held == wish)
            return worked;
        worked = 1;
        if (held < wish)
            grow_one_chunk(wish);
        else
            shrink(wish);
    }
}

/* Touch the hot share once, unless new orders come. Returns the time it took. */
static uint64_t pass(uint64_t word)
{
    uint64_t begin = now_us(), held = shared->held_bytes;
    uint64_t hot = held / PAGE_BYTES * shared->hot_permille / 1000 * PAGE_BYTES;
    for (uint64_t at = 0; at < hot; at += CHUNK_BYTES) {
        if (shared->wish_bytes != held)
            return now_us() - begin;
        touch(at, smaller(at + CHUNK_BYTES, hot), word);
    }
    uint64_t took = now_us() - begin;
    if (hot > 0) {
        shared->last_pass_us = took;
        if (took > shared->worst_pass_us)
            shared->worst_pass_us = took;
        shared->passes++;
    }
    return took;
}

/* Sleep until the next pass is due or orders come. */
static void rest(uint64_t pass_us)
{
    char orders[64];
    struct pollfd ordered = {.fd = orders_pipe[0], .events = POLLIN};
    uint64_t left = PASS_PERIOD_US - smaller(pass_us, PASS_PERIOD_US - PASS_REST_US);
    if (poll(&ordered, 1, (int)(left / 1000)) > 0 && read(orders_pipe[0], orders, sizeof orders) < 0)
        die("orders");
}

void hold(void)
{
    write_text("/proc/self/oom_score_adj", "1000");
    memory = mmap(NULL, LARGEST_HOLD_BYTES, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    for (uint64_t word = 1;; word += 2) {
        if (obey() && write(carried_out_pipe[1], "", 1) < 0)
            die("carried out");
        rest(pass(word));
    }
}
