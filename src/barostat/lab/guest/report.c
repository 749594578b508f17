/* One line of JSON: how the holder fares, and what the kernel says of its memory. */
#define _GNU_SOURCE
#include "workload.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct source meminfo = {.path = "/proc/meminfo"};
static struct source vmstat = {.path = "/proc/vmstat"};
static struct source pressure = {.path = "/proc/pressure/memory"};

void refresh(struct source *source)
{
    if (source->fd == 0)
        source->fd = open(source->path, O_RDONLY | O_CLOEXEC);
    ssize_t got = pread(source->fd, source->text, sizeof source->text - 1, 0);
    source->text[got > 0 ? got : 0] = 0;
}

/* The number behind the word that begins a line. */
static uint64_t number(const struct source *source, const char *word)
{
    size_t length = strlen(word);
    for (const char *line = source->text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, word, length) == 0)
            return strtoull(line + length, NULL, 10);
    }
    return 0;
}

static uint64_t kib(const char *word)
{
    return number(&meminfo, word) * 1024;
}

/* The "total=" of a line of /proc/pressure/memory, "some" or "full". */
uint64_t total_after(const struct source *pressure, const char *line)
{
    const char *found = strstr(pressure->text, line);
    const char *total = found ? strstr(found, "total=") : NULL;
    return total ? strtoull(total + strlen("total="), NULL, 10) : 0;
}

/* Text being written, within its room. */
struct writer {
    char *text;
    size_t room, length;
};

static void put(struct writer *writer, const char *name, uint64_t value)
{
    size_t left = writer->room - writer->length;
    int added = snprintf(writer->text + writer->length, left, "%c\"%s\":%llu",
                         writer->length ? ',' : '{', name, (unsigned long long)value);
    if (added > 0 && (size_t)added < left)
        writer->length += (size_t)added;
}

static void put_holder(struct writer *to, const struct account *account)
{
    put(to, "command", account->command);
    put(to, "wished_bytes", shared->wish_bytes);
    put(to, "hot_permille", shared->hot_permille);
    put(to, "held_bytes", shared->held_bytes);
    put(to, "passes", shared->passes);
    put(to, "last_pass_us", shared->last_pass_us);
    put(to, "worst_pass_us", shared->worst_pass_us);
    put(to, "stalled_us", shared->stalled_us);
    put(to, "cache_read_bytes", shared->cache_read_bytes);
    put(to, "holder_deaths", account->holder_deaths);
    put(to, "bad_commands", account->bad_commands);
}

static void put_kernel(struct writer *to)
{
    put(to, "total_bytes", kib("MemTotal:"));
    put(to, "available_bytes", kib("MemAvailable:"));
    put(to, "free_bytes", kib("MemFree:"));
    put(to, "cached_bytes", kib("Buffers:") + kib("Cached:"));
    put(to, "swap_total_bytes", kib("SwapTotal:"));
    put(to, "swap_free_bytes", kib("SwapFree:"));
    put(to, "swap_in_bytes", number(&vmstat, "pswpin ") * PAGE_BYTES);
    put(to, "swap_out_bytes", number(&vmstat, "pswpout ") * PAGE_BYTES);
    put(to, "major_faults", number(&vmstat, "pgmajfault "));
    put(to, "oom_kills", number(&vmstat, "oom_kill "));
    put(to, "psi_some_us", total_after(&pressure, "some"));
    put(to, "psi_full_us", total_after(&pressure, "full"));
}

/* Write the report and say how long it is. */
int describe(char *text, size_t room, const struct account *account)
{
    struct writer to = {.text = text, .room = room - 3};
    refresh(&meminfo);
    refresh(&vmstat);
    refresh(&pressure);
    put(&to, "sequence", account->reports);
    put(&to, "uptime_us", now_us());
    put_holder(&to, account);
    put_kernel(&to);
    memcpy(text + to.length, "}\n", 3);
    return (int)to.length + 2;
}
