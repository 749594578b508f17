/*
 * The lab's workload, process 1 of a guest: a witness that cannot be killed or swapped out, and a
 * holder that can.
 *
 *   witness.c  obeys commands from the virtio-serial port, reports, looks after its children
 *   holder.c   touches memory as it is told; the OOM killer's first victim, started again empty
 *   report.c   says in one line of JSON how the holder fares and what the kernel says of memory
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES 4096ULL
#define LARGEST_HOLD_BYTES (1ULL << 40) /* address space, not memory */

typedef _Atomic uint64_t counter;

/* One page that witness, holder and reader share; it outlives a killed holder. */
struct shared {
    counter wish_bytes, hot_permille;                       /* orders to the holder */
    counter held_bytes, passes, last_pass_us, worst_pass_us; /* how it fares */
    counter stalled_us;                                     /* how long it waited for memory */
    counter cache_read_bytes;                               /* by the reader */
};

/* What the witness itself knows. */
struct account {
    uint64_t command, reports, holder_deaths, bad_commands;
};

extern struct shared *shared;
extern int orders_pipe[2];      /* witness to holder: new orders */
extern int carried_out_pipe[2]; /* holder to witness: they stand */

void hold(void);
int describe(char *text, size_t room, const struct account *account);

/* A /proc file that stays open: opening one needs memory, which may be what is missing. */
struct source {
    const char *path;
    int fd;
    char text[16384];
};

void refresh(struct source *source);
uint64_t total_after(const struct source *pressure, const char *line);

uint64_t now_us(void);
uint64_t smaller(uint64_t a, uint64_t b);
void write_text(const char *path, const char *text);
void die(const char *what);

#endif
