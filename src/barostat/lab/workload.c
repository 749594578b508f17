/*
 * The lab's workload, process 1 of a guest: a witness that cannot be killed or swapped out, and a
 * holder that can.
 *
 * The witness obeys commands from the virtio-serial port and reports, four times a second and at
 * once when something took effect, one line of JSON: what the holder holds and how it fares, and
 * what the kernel says of its memory. The holder touches memory as it is told; it is the first
 * victim of the OOM killer, and is then started again, empty.
 *
 * Commands, a line each, ID is any number and comes back as "command" in the reports:
 *   ID hold BYTES HOT_PERMILLE   hold that much; keep touching the first so many thousandths of it
 *   ID cache BYTES               read so much of the data disk through the page cache; 0 drops it
 *   ID ping                      report at once
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096ULL
#define CHUNK_BYTES (64 * PAGE_BYTES)   /* between two looks at the clock and at new orders */
#define HUGE_BYTES (512 * PAGE_BYTES)   /* memory is committed in these, so huge pages fit */
#define LARGEST_HOLD_BYTES (1ULL << 40) /* address space, not memory */
#define STALL_US 10000ULL               /* a chunk slower than this has waited for memory */
#define REPORT_US 250000ULL
#define PASS_PERIOD_US 250000ULL
#define PASS_REST_US 50000ULL           /* slept after a pass at least: never a whole core */

typedef _Atomic uint64_t counter;

/* Shared by witness, holder and reader; it outlives a killed holder. */
struct shared {
    counter wish_bytes, hot_permille;                       /* orders to the holder */
    counter held_bytes, passes, last_pass_us, worst_pass_us, stalled_us;
    counter cache_read_bytes;                               /* by the reader */
};

static struct shared *shared;
static int kick_pipe[2]; /* witness to holder: new orders */
static int done_pipe[2]; /* holder to witness: orders carried out */

static uint64_t now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fprintf(stderr, "lab: cannot write %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void die(const char *what)
{
    fprintf(stderr, "lab: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the holder ------------------------------------------------------------------------- */

static char *memory;             /* its first held_bytes are touched */
static uint64_t committed_bytes; /* its first so many may be touched */

/* Write one word to each page; account the time beyond what plain speed explains. */
static void touch(uint64_t from, uint64_t to, uint64_t word)
{
    uint64_t begin = now_us();
    for (uint64_t at = from; at < to; at += PAGE_BYTES)
        *(volatile uint64_t *)(memory + at) = word ^ at;
    uint64_t took = now_us() - begin;
    if (took > STALL_US)
        shared->stalled_us += took - STALL_US;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Commit step by step: a wish beyond memory and swap then ends in the OOM killer, not in ENOMEM. */
static void grow_one_chunk(uint64_t wish)
{
    uint64_t from = shared->held_bytes;
    if (from == committed_bytes) {
        if (mprotect(memory + from, HUGE_BYTES, PROT_READ | PROT_WRITE) < 0)
            die("mprotect");
        committed_bytes += HUGE_BYTES;
    }
    uint64_t to = smaller(smaller(from + CHUNK_BYTES, committed_bytes), wish);
    touch(from, to, from + 1);
    shared->held_bytes = to;
}

static void shrink(uint64_t wish)
{
    uint64_t kept = (wish + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
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

/* Touch the hot share once; cut short by new orders. Returns the time it took. */
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

static void rest(uint64_t pass_us)
{
    char orders[64];
    struct pollfd kicked = {.fd = kick_pipe[0], .events = POLLIN};
    uint64_t left = pass_us + PASS_REST_US < PASS_PERIOD_US ? PASS_PERIOD_US - pass_us : PASS_REST_US;
    if (poll(&kicked, 1, (int)(left / 1000)) > 0 && read(kick_pipe[0], orders, sizeof orders) < 0)
        die("orders");
}

static void hold(void)
{
    write_text("/proc/self/oom_score_adj", "1000");
    memory = mmap(NULL, LARGEST_HOLD_BYTES, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    memory += HUGE_BYTES - (uintptr_t)memory % HUGE_BYTES;
    for (uint64_t word = 1;; word += 2) {
        if (obey() && write(done_pipe[1], "", 1) < 0)
            die("done");
        rest(pass(word));
    }
}

/* ---- the witness ------------------------------------------------------------------------ */

static int port, data_disk;
static pid_t holder, reader;
static uint64_t command, reports, holder_deaths, bad_commands, cache_wish_bytes;

static pid_t spawn(void (*role)(void))
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct sched_param normal = {0};
    sched_setscheduler(0, SCHED_OTHER, &normal);
    role();
    _exit(0);
}

/* Fill the page cache. The witness keeps the disk open, or its pages would go with the reader. */
static void read_data(void)
{
    static char buffer[256 * 1024];
    write_text("/proc/self/oom_score_adj", "0");
    while (shared->cache_read_bytes < cache_wish_bytes) {
        uint64_t at = shared->cache_read_bytes;
        size_t part = smaller(sizeof buffer, cache_wish_bytes - at);
        ssize_t got = pread(data_disk, buffer, part, (off_t)at);
        if (got <= 0)
            break;
        shared->cache_read_bytes += (uint64_t)got;
    }
}

/* Another amount: forget the old pages, then read. */
static void cache(uint64_t bytes)
{
    if (reader > 0) {
        kill(reader, SIGKILL);
        waitpid(reader, NULL, 0);
    }
    write_text("/proc/sys/vm/drop_caches", "1");
    cache_wish_bytes = bytes;
    shared->cache_read_bytes = 0;
    reader = bytes > 0 ? spawn(read_data) : 0;
}

static void order_hold(uint64_t bytes, uint64_t hot_permille)
{
    shared->worst_pass_us = 0;
    shared->hot_permille = smaller(hot_permille, 1000);
    shared->wish_bytes = smaller(bytes / PAGE_BYTES * PAGE_BYTES, LARGEST_HOLD_BYTES / 2);
    if (write(kick_pipe[1], "", 1) < 0 && errno != EAGAIN)
        die("kick");
}

static void obey_line(const char *line)
{
    unsigned long long id, bytes, hot;
    int end = 0;
    if (sscanf(line, "%llu hold %llu %llu%n", &id, &bytes, &hot, &end) == 3 && !line[end])
        order_hold(bytes, hot);
    else if (sscanf(line, "%llu cache %llu%n", &id, &bytes, &end) == 2 && !line[end])
        cache(bytes);
    else if (sscanf(line, "%llu ping%n", &id, &end) != 1 || end == 0 || line[end]) {
        bad_commands++;
        return;
    }
    command = id;
}

/* Take what came in through the port; true if it held a whole line. */
static int listen_to_port(void)
{
    static char text[256];
    static size_t filled;
    int heard = 0;
    ssize_t got = read(port, text + filled, sizeof text - 1 - filled);
    if (got <= 0)
        return 0;
    filled += (size_t)got;
    text[filled] = 0;
    for (char *end; (end = strchr(text, '\n')); heard = 1) {
        *end = 0;
        obey_line(text);
        filled -= (size_t)(end + 1 - text);
        memmove(text, end + 1, filled + 1);
    }
    if (filled == sizeof text - 1) { /* no command is so long */
        filled = 0;
        bad_commands++;
    }
    return heard;
}

/* A /proc file that stays open: opening one needs memory, which may be what is missing. */
struct source {
    const char *path;
    int fd;
    char text[16384];
};

static struct source meminfo = {.path = "/proc/meminfo"}, vmstat = {.path = "/proc/vmstat"},
                     pressure = {.path = "/proc/pressure/memory"};

static void refresh(struct source *source)
{
    if (source->fd == 0)
        source->fd = open(source->path, O_RDONLY | O_CLOEXEC);
    ssize_t got = pread(source->fd, source->text, sizeof source->text - 1, 0);
    source->text[got > 0 ? got : 0] = 0;
}

/* The number that follows a word, which begins a line unless `within` says where to look. */
static unsigned long long number(const struct source *source, const char *word)
{
    size_t length = strlen(word);
    for (const char *line = source->text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, word, length) == 0)
            return strtoull(line + length, NULL, 10);
    }
    return 0;
}

static unsigned long long total_after(const char *line)
{
    const char *found = strstr(pressure.text, line);
    const char *total = found ? strstr(found, "total=") : NULL;
    return total ? strtoull(total + strlen("total="), NULL, 10) : 0;
}

static int describe(char *text, size_t room)
{
    refresh(&meminfo);
    refresh(&vmstat);
    refresh(&pressure);
#define LOAD(name) (unsigned long long)shared->name
#define KIB(word) number(&meminfo, word) * 1024
    return snprintf(text, room,
        "{\"sequence\":%llu,\"uptime_us\":%llu,\"command\":%llu,\"wished_bytes\":%llu,"
        "\"hot_permille\":%llu,\"held_bytes\":%llu,\"passes\":%llu,\"last_pass_us\":%llu,"
        "\"worst_pass_us\":%llu,\"stalled_us\":%llu,\"cache_read_bytes\":%llu,"
        "\"holder_deaths\":%llu,\"bad_commands\":%llu,\"total_bytes\":%llu,"
        "\"available_bytes\":%llu,\"free_bytes\":%llu,\"cached_bytes\":%llu,"
        "\"swap_total_bytes\":%llu,\"swap_free_bytes\":%llu,\"swap_in_bytes\":%llu,"
        "\"swap_out_bytes\":%llu,\"major_faults\":%llu,\"oom_kills\":%llu,"
        "\"psi_some_us\":%llu,\"psi_full_us\":%llu}\n",
        (unsigned long long)++reports, (unsigned long long)now_us(), (unsigned long long)command,
        LOAD(wish_bytes), LOAD(hot_permille), LOAD(held_bytes), LOAD(passes), LOAD(last_pass_us),
        LOAD(worst_pass_us), LOAD(stalled_us), LOAD(cache_read_bytes),
        (unsigned long long)holder_deaths, (unsigned long long)bad_commands, KIB("MemTotal:"),
        KIB("MemAvailable:"), KIB("MemFree:"), KIB("Buffers:") + KIB("Cached:"),
        KIB("SwapTotal:"), KIB("SwapFree:"), number(&vmstat, "pswpin ") * PAGE_BYTES,
        number(&vmstat, "pswpout ") * PAGE_BYTES, number(&vmstat, "pgmajfault "),
        number(&vmstat, "oom_kill "), total_after("some"), total_after("full"));
}

/* Never waits: with nobody at the other end a report is lost, and the next one says as much. */
static void report(void)
{
    static char text[4096];
    int length = describe(text, sizeof text);
    if (write(port, text, (size_t)length) < 0 && errno != EAGAIN)
        die("report");
}

/* See who ended; a killed holder begins again, empty. True if somebody ended. */
static int look_after_children(void)
{
    int ended = 0;
    for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0; ended = 1) {
        if (pid == reader)
            reader = 0;
        if (pid == holder) {
            holder = -1;
            holder_deaths++;
            shared->held_bytes = 0;
            shared->wish_bytes = 0;
        }
    }
    if (holder < 0)
        holder = spawn(hold); /* tried again on the next turn if there is no memory for it */
    return ended;
}

/* Wait for a command, a carried-out order or the time of the next report. */
static int wait_for_news(uint64_t until_us)
{
    char carried_out[64];
    uint64_t now = now_us();
    struct pollfd polled[2] = {{.fd = port, .events = POLLIN},
                               {.fd = done_pipe[0], .events = POLLIN}};
    if (now >= until_us)
        return 0;
    poll(polled, 2, (int)((until_us - now) / 1000) + 1);
    if (polled[0].revents & POLLHUP) /* nobody listens, which poll does not wait for */
        usleep(50000);
    int news = polled[0].revents & POLLIN ? listen_to_port() : 0;
    if (polled[1].revents & POLLIN)
        news |= read(done_pipe[0], carried_out, sizeof carried_out) > 0;
    return news;
}

int main(int argc, char **argv)
{
    struct sched_param first = {.sched_priority = 1};
    write_text("/proc/self/oom_score_adj", "-1000");
    shared = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    port = open(argc == 3 ? argv[1] : "", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    data_disk = open(argc == 3 ? argv[2] : "", O_RDONLY | O_CLOEXEC);
    if (shared == MAP_FAILED || port < 0 || data_disk < 0)
        die("cannot begin");
    if (pipe2(kick_pipe, O_NONBLOCK | O_CLOEXEC) < 0 || pipe2(done_pipe, O_NONBLOCK | O_CLOEXEC) < 0)
        die("pipe");
    holder = spawn(hold);
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0 || sched_setscheduler(0, SCHED_FIFO, &first) < 0)
        die("cannot guard the witness");
    for (uint64_t next = now_us();;) {
        int news = wait_for_news(next);
        news |= look_after_children();
        if (!news && now_us() < next)
            continue;
        report();
        next = now_us() + REPORT_US;
    }
}
