/*
 * The witness: commands in, reports out, four a second and one more when something took effect.
 *
 * A command is a line; ID is any number and comes back as "command" in the reports:
 *   ID hold BYTES HOT_PERMILLE   hold that much; keep touching the first so many thousandths of it
 *   ID cache BYTES               read so much of the data disk through the page cache; 0 drops it
 *   ID ping                      report at once
 */
#define _GNU_SOURCE
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPORT_US 250000ULL
#define DEAF_US 50000 /* poll does not wait while nobody has the port open */

struct shared *shared;
int orders_pipe[2], carried_out_pipe[2];

static int port, data_disk;
static pid_t holder, reader;
static uint64_t cache_wish_bytes;
static struct account account;

uint64_t now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fprintf(stderr, "lab: cannot write %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

void die(const char *what)
{
    fprintf(stderr, "lab: %s: %s\n", what, strerror(errno));
    exit(1);
}

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

static void order_hold(uint64_t bytes, uint64_t hot_permille)
{
    shared->worst_pass_us = 0;
    shared->hot_permille = smaller(hot_permille, 1000);
    shared->wish_bytes = smaller(bytes / PAGE_BYTES * PAGE_BYTES, LARGEST_HOLD_BYTES / 2);
    if (write(orders_pipe[1], "", 1) < 0 && errno != EAGAIN)
        die("orders");
}

/* Fill the page cache. The witness keeps the disk open, or its pages would go with the reader. */
static void read_data(void)
{
    static char buffer[256 * 1024];
    write_text("/proc/self/oom_score_adj", "0");
    while (shared->cache_read_bytes < cache_wish_bytes) {
        uint64_t at = shared->cache_read_bytes;
        ssize_t got = pread(data_disk, buffer, smaller(sizeof buffer, cache_wish_bytes - at), (off_t)at);
        if (got <= 0)
            break;
        shared->cache_read_bytes += (uint64_t)got;
    }
}

/* Forget the old pages, then read as many as are wanted. */
static void order_cache(uint64_t bytes)
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

static void obey_line(const char *line)
{
    unsigned long long id, bytes, hot;
    int end = 0;
    if (sscanf(line, "%llu hold %llu %llu%n", &id, &bytes, &hot, &end) == 3 && !line[end])
        order_hold(bytes, hot);
    else if (sscanf(line, "%llu cache %llu%n", &id, &bytes, &end) == 2 && !line[end])
        order_cache(bytes);
    else if (sscanf(line, "%llu ping%n", &id, &end) != 1 || end == 0 || line[end]) {
        account.bad_commands++;
        return;
    }
    account.command = id;
}

/* Take what came in through the port; true if there was a whole line in it. */
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
        account.bad_commands++;
    }
    return heard;
}

/* Wait for a command, for orders carried out, or for the time of the next report. */
static int wait_for_news(uint64_t until_us)
{
    char carried_out[64];
    uint64_t now = now_us();
    struct pollfd polled[2] = {{.fd = port, .events = POLLIN},
                               {.fd = carried_out_pipe[0], .events = POLLIN}};
    if (now >= until_us)
        return 0;
    poll(polled, 2, (int)((until_us - now) / 1000) + 1);
    if (polled[0].revents & POLLHUP)
        usleep(DEAF_US);
    int news = polled[0].revents & POLLIN ? listen_to_port() : 0;
    if (polled[1].revents & POLLIN)
        news |= read(carried_out_pipe[0], carried_out, sizeof carried_out) > 0;
    return news;
}

/* See who ended; a killed holder begins again, empty. True if anybody ended. */
static int look_after_children(void)
{
    int ended = 0;
    for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0; ended = 1) {
        if (pid == reader)
            reader = 0;
        if (pid == holder) {
            holder = -1;
            account.holder_deaths++;
            shared->held_bytes = 0;
            shared->wish_bytes = 0;
        }
    }
    if (holder < 0)
        holder = spawn(hold); /* tried again on the next turn if there is no memory for it */
    return ended;
}

/* Never waits: with nobody at the other end a report is lost, and the next one says as much. */
static void report(void)
{
    static char text[4096];
    account.reports++;
    int length = describe(text, sizeof text, &account);
    if (write(port, text, (size_t)length) < 0 && errno != EAGAIN)
        die("report");
}

static void begin(const char *port_path, const char *data_path)
{
    struct sched_param first = {.sched_priority = 1};
    write_text("/proc/self/oom_score_adj", "-1000");
    port = open(port_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    data_disk = open(data_path, O_RDONLY | O_CLOEXEC);
    shared = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || port < 0 || data_disk < 0)
        die("cannot begin");
    if (pipe2(orders_pipe, O_NONBLOCK | O_CLOEXEC) < 0 ||
        pipe2(carried_out_pipe, O_NONBLOCK | O_CLOEXEC) < 0)
        die("pipe");
    holder = spawn(hold);
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0 || sched_setscheduler(0, SCHED_FIFO, &first) < 0)
        die("cannot guard the witness");
}

int main(int argc, char **argv)
{
    begin(argc == 3 ? argv[1] : "", argc == 3 ? argv[2] : "");
    for (uint64_t next = now_us();;) {
        int news = wait_for_news(next);
        news |= look_after_children();
        if (!news && now_us() < next)
            continue;
        report();
        next = now_us() + REPORT_US;
    }
}
