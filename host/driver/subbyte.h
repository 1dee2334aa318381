/* SPDX-FileCopyrightText: 2026 subbyte contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Driver of an accelerator's memory form, of any scheme and size: C11, bare metal, no allocation, no C library.
 * A job is a product Y[M, N] whose arrays lie in memory as subbyte packs them. Jobs are queued and end in order. Calls for one
 * device must not overlap, but for subbyte_interrupt(), which may come at any time. See docs/system.md.
 */
#ifndef SUBBYTE_H
#define SUBBYTE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What calls return: zero, a job that is not done, or what is wrong. Causes of ERRORS are SUBBYTE_CAUSE + their bit. */
typedef enum {
    SUBBYTE_OK = 0,
    SUBBYTE_PENDING,       /* the job is not done yet */
    SUBBYTE_BUSY,          /* the queue takes no job now */
    SUBBYTE_NO_DEVICE,     /* nothing at this address says that it is a subbyte accelerator */
    SUBBYTE_STREAM_FORM,   /* its operands come on streams, not from memory */
    SUBBYTE_OTHER_VERSION, /* its major version is none that this driver knows */
    SUBBYTE_TIMEOUT,       /* the limit of polls was reached */
    SUBBYTE_UNKNOWN_JOB,   /* no job with this number was started since the last reset */
    SUBBYTE_CAUSE = 16,
    SUBBYTE_SIZE = SUBBYTE_CAUSE,            /* refused: a size or a number of bytes is zero */
    SUBBYTE_QUEUE,                           /* refused: the queue was full, the device halted or resetting */
    SUBBYTE_DATA,                            /* done, but results overflowed or the like */
    SUBBYTE_KEEP,                            /* of the stream form */
    SUBBYTE_LENGTH,                          /* halted: an array does not fit the sizes */
    SUBBYTE_K_MISMATCH,                      /* halted: weights and activations disagree on K */
    SUBBYTE_K_TOO_LONG,                      /* halted: K is longer than the sums hold */
    SUBBYTE_SCALES_ORDER,                    /* halted: scales do not end with their weights */
    SUBBYTE_FORMAT_CHANGED,                  /* halted: the format changed within a group */
    SUBBYTE_FORMAT_UNSUPPORTED,              /* halted: a format that the engine does not have */
    SUBBYTE_ALIGNMENT,                       /* refused: an address or bytes are no multiple of the bus */
    SUBBYTE_BUFFER,                          /* refused: a tile's activations do not fit the buffer */
    SUBBYTE_SETTINGS,                        /* refused: a K or a format that it does not take */
    SUBBYTE_WINDOW,                          /* halted: an array lies outside of the window */
    SUBBYTE_READ,                            /* halted: the memory refused a read */
    SUBBYTE_WRITE                            /* halted: the memory refused a write */
} subbyte_status;

typedef struct {
    uint32_t address; /* as the accelerator sees it, a multiple of bus_bytes */
    uint32_t bytes;   /* whole beats of the bus */
} subbyte_array;

typedef struct {
    uint32_t m, n, k;                                   /* of X[m, k] @ W[n, k].T */
    uint32_t format;                                    /* code of the weights' format */
    uint32_t weight_words, activation_words, scale_words; /* of a tile; scales: 0 where there are none */
    subbyte_array weights, activations, scales, constants, tokens, outputs; /* {0, 0} for a stream that there is not */
} subbyte_job;

typedef struct subbyte_device {
    /* Set before subbyte_open(). */
    uintptr_t base; /* of the registers */
    uint32_t limit; /* polls until SUBBYTE_TIMEOUT; 0: none */
    /* Called while subbyte_wait() has nothing to do, until `events` is no longer `seen`: sleep, or do something else. NULL: poll
     * on. For one that sleeps the interrupt must be enabled and must call subbyte_interrupt(). */
    void (*idle)(struct subbyte_device *device, uint32_t seen);
    void *context; /* for idle */
    /* Read from the device by subbyte_open(). */
    char scheme[9];
    uint32_t rows, cols, lanes, largest_k, bus_bytes, queue, buffer_words;
    /* The driver's own. */
    volatile uint32_t events;     /* interrupts so far */
    uint32_t started;             /* jobs since the last reset */
    uint32_t done;                /* of these */
    int interrupts;               /* whether they are enabled */
} subbyte_device;

typedef struct {
    uint32_t cycles, busy_cycles, weight_stalls, activation_stalls, scale_stalls, output_stalls, read_beats, write_beats, bus_errors;
} subbyte_counters;

/* Find the accelerator at device->base, reset it, and read what it is. The interrupt is off then. */
subbyte_status subbyte_open(subbyte_device *device);

/* Drop all jobs, causes and counters; waits until the memory owes no answer. */
subbyte_status subbyte_reset(subbyte_device *device);

/* No access outside of the pages of `first` to `last` (addresses), with `lock` until the hardware's reset. */
void subbyte_window(subbyte_device *device, uint32_t first, uint32_t last, int lock);

/* Whether the interrupt is raised for jobs that are done and for causes. */
void subbyte_enable_interrupt(subbyte_device *device, int enabled);

/* To be called by the interrupt's handler: takes the interrupt back. Returns whether it was this device's. */
int subbyte_interrupt(subbyte_device *device);

/* Queue a job; *number, if not NULL, is what subbyte_poll() and subbyte_wait() know it by. SUBBYTE_BUSY: not now. The arrays must
 * be in memory, beyond the caches, and stay until it is done. */
subbyte_status subbyte_try_start(subbyte_device *device, const subbyte_job *job, uint32_t *number);

/* Likewise, but waits for room in the queue. */
subbyte_status subbyte_start(subbyte_device *device, const subbyte_job *job, uint32_t *number);

/* SUBBYTE_OK or SUBBYTE_DATA: done; SUBBYTE_PENDING; else the cause that halted the device: subbyte_reset() goes on. DATA does not say
 * which job it was, and stays until subbyte_clear_data(). */
subbyte_status subbyte_poll(subbyte_device *device, uint32_t number);

/* Poll until the job is no longer pending. */
subbyte_status subbyte_wait(subbyte_device *device, uint32_t number);

/* Forget the cause DATA. */
void subbyte_clear_data(subbyte_device *device);

/* A job alone: start it and wait. */
subbyte_status subbyte_run(subbyte_device *device, const subbyte_job *job);

/* Counts since the last reset, modulo 2**32. */
void subbyte_read_counters(const subbyte_device *device, subbyte_counters *counters);

/* A line about a status. */
const char *subbyte_text(subbyte_status status);

#ifdef __cplusplus
}
#endif
#endif
