/* SPDX-FileCopyrightText: 2026 subbyte contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * See subbyte.h. subbyte_registers.h is generated of registers.rdl; its struct gives places alone, since it is packed, and packed
 * members may be read byte by byte.
 */
#include "subbyte.h"

#include "subbyte_registers.h"

#ifdef SUBBYTE_BUS
/* Another way to the registers than pointers, such as a simulation. */
uint32_t subbyte_bus_read(uintptr_t address);
void subbyte_bus_write(uintptr_t address, uint32_t value);
#else
static uint32_t subbyte_bus_read(uintptr_t address) { return *(volatile uint32_t *)address; }
static void subbyte_bus_write(uintptr_t address, uint32_t value) { *(volatile uint32_t *)address = value; }
#endif

#define GET(device, REGISTER) subbyte_bus_read((device)->base + offsetof(subbyte_t, REGISTER))
#define SET(device, REGISTER, value) subbyte_bus_write((device)->base + offsetof(subbyte_t, REGISTER), value)
#define MASK(REGISTER, FIELD) ((uint32_t)SUBBYTE__##REGISTER##__##FIELD##_bm)
#define FIELD(REGISTER, NAME, value) (((value) & MASK(REGISTER, NAME)) >> SUBBYTE__##REGISTER##__##NAME##_bp)

#define MAGIC 0x53425954u
#define NEWEST 0u /* the latest version that this driver knows */
#define MODULUS 0xffffu
/* For which START queues nothing, and what does not halt. */
#define REFUSED (MASK(ERRORS, SIZE) | MASK(ERRORS, QUEUE) | MASK(ERRORS, ALIGNMENT) | MASK(ERRORS, BUFFER) | MASK(ERRORS, SETTINGS))
#define HALTING (~(REFUSED | MASK(ERRORS, DATA)))

/* Whatever the CPU wrote before is in memory before the accelerator is told, and its results are not read before it is done. */
static void order(void) {
#if defined(__riscv)
    __asm__ volatile("fence iorw, iorw" ::: "memory");
#elif defined(__GNUC__)
    __sync_synchronize();
#endif
}

static subbyte_status cause(uint32_t errors) {
    uint32_t bit = 0;
    while (!(errors >> bit & 1u)) bit++;
    return (subbyte_status)(SUBBYTE_CAUSE + bit);
}

subbyte_status subbyte_open(subbyte_device *device) {
    uint32_t value, letter;
    if (GET(device, ID) != MAGIC) return SUBBYTE_NO_DEVICE;
    if (FIELD(VERSION, MAJOR, GET(device, VERSION)) > NEWEST) return SUBBYTE_OTHER_VERSION;
    value = GET(device, CAPABILITIES);
    if (!(value & MASK(CAPABILITIES, HAS_MEMORY))) return SUBBYTE_STREAM_FORM;
    device->bus_bytes = FIELD(CAPABILITIES, BUS_BYTES, value);
    device->queue = FIELD(CAPABILITIES, QUEUE, value);
    for (letter = 0; letter < 8; letter++) {
        value = letter < 4 ? GET(device, SCHEME_LOW) : GET(device, SCHEME_HIGH);
        device->scheme[letter] = (char)(value >> 8 * (letter & 3) & 0xff);
    }
    device->scheme[8] = 0;
    value = GET(device, TILE);
    device->rows = FIELD(TILE, ROWS, value);
    device->cols = FIELD(TILE, COLS, value);
    device->lanes = FIELD(WORD, LANES, GET(device, WORD));
    device->largest_k = GET(device, LARGEST_K);
    device->buffer_words = GET(device, BUFFER);
    device->events = 0;
    subbyte_enable_interrupt(device, 0);
    return subbyte_reset(device);
}

subbyte_status subbyte_reset(subbyte_device *device) {
    uint32_t polls = 0;
    SET(device, CONTROL, MASK(CONTROL, SOFT_RESET));
    while (GET(device, STATUS) & MASK(STATUS, RESETTING))
        if (++polls == device->limit) return SUBBYTE_TIMEOUT;
    subbyte_enable_interrupt(device, device->interrupts);
    device->started = 0;
    device->done = 0;
    return SUBBYTE_OK;
}

void subbyte_window(subbyte_device *device, uint32_t first, uint32_t last, int lock) {
    SET(device, WINDOW_BASE, first & MASK(WINDOW_BASE, PAGE));
    SET(device, WINDOW_LIMIT, (last & MASK(WINDOW_LIMIT, PAGE)) | (lock ? MASK(WINDOW_LIMIT, LOCK) : 0u));
}

void subbyte_enable_interrupt(subbyte_device *device, int enabled) {
    device->interrupts = enabled;
    SET(device, INTERRUPT_ENABLE, enabled ? MASK(INTERRUPT_ENABLE, DONE) | MASK(INTERRUPT_ENABLE, ERROR) : 0u);
}

int subbyte_interrupt(subbyte_device *device) {
    const uint32_t raised = GET(device, INTERRUPT);
    if (!raised) return 0;
    SET(device, INTERRUPT, raised);
    /* A cause that halts may stand until the reset, and would interrupt again at once. */
    if (raised & MASK(INTERRUPT, ERROR) && GET(device, INTERRUPT) & MASK(INTERRUPT, ERROR))
        SET(device, INTERRUPT_ENABLE, MASK(INTERRUPT_ENABLE, DONE));
    device->events++; /* after it was taken back: who sees this looks at all jobs that are done by then */
    return 1;
}

static void give(subbyte_device *device, const subbyte_job *job) {
    SET(device, M, job->m);
    SET(device, N, job->n);
    SET(device, K, job->k);
    SET(device, FORMAT, job->format);
    SET(device, BEATS, job->weight_words);
    SET(device, ACTIVATION_BEATS, job->activation_words);
    SET(device, WEIGHTS_BASE, job->weights.address);
    SET(device, WEIGHTS_BYTES, job->weights.bytes);
    SET(device, ACTIVATIONS_BASE, job->activations.address);
    SET(device, ACTIVATIONS_BYTES, job->activations.bytes);
    SET(device, CONSTANTS_BASE, job->constants.address);
    SET(device, CONSTANTS_BYTES, job->constants.bytes);
    SET(device, OUTPUTS_BASE, job->outputs.address);
    SET(device, OUTPUTS_BYTES, job->outputs.bytes);
    if (job->scale_words) {
        SET(device, SCALE_BEATS, job->scale_words);
        SET(device, SCALES_BASE, job->scales.address);
        SET(device, SCALES_BYTES, job->scales.bytes);
    }
    if (job->tokens.bytes) {
        SET(device, TOKENS_BASE, job->tokens.address);
        SET(device, TOKENS_BYTES, job->tokens.bytes);
    }
}

subbyte_status subbyte_try_start(subbyte_device *device, const subbyte_job *job, uint32_t *number) {
    uint32_t errors, status = GET(device, STATUS);
    if (status & MASK(STATUS, HALTED)) {
        errors = GET(device, ERRORS) & HALTING;
        return errors ? cause(errors) : SUBBYTE_QUEUE;
    }
    if (status & MASK(STATUS, FULL)) return SUBBYTE_BUSY;
    give(device, job);
    order();
    SET(device, CONTROL, MASK(CONTROL, START));
    errors = GET(device, ERRORS) & REFUSED;
    if (errors) {
        SET(device, ERRORS, errors);
        return cause(errors);
    }
    device->started++;
    if (number) *number = device->started;
    return SUBBYTE_OK;
}

subbyte_status subbyte_start(subbyte_device *device, const subbyte_job *job, uint32_t *number) {
    uint32_t polls = 0;
    for (;;) {
        const subbyte_status status = subbyte_try_start(device, job, number);
        if (status != SUBBYTE_BUSY) return status;
        if (++polls == device->limit) return SUBBYTE_TIMEOUT;
    }
}

subbyte_status subbyte_poll(subbyte_device *device, uint32_t number) {
    uint32_t status, errors;
    if (number == 0 || number > device->started) return SUBBYTE_UNKNOWN_JOB;
    status = GET(device, STATUS);
    device->done += (FIELD(STATUS, JOBS, status) - device->done) & MODULUS;
    if (device->done < number && !(status & MASK(STATUS, HALTED))) return SUBBYTE_PENDING;
    order();
    errors = GET(device, ERRORS);
    if (device->done < number) return cause(errors & HALTING ? errors & HALTING : errors);
    return errors & MASK(ERRORS, DATA) ? SUBBYTE_DATA : SUBBYTE_OK;
}

subbyte_status subbyte_wait(subbyte_device *device, uint32_t number) {
    uint32_t polls = 0;
    for (;;) {
        const uint32_t seen = device->events;
        const subbyte_status status = subbyte_poll(device, number);
        if (status != SUBBYTE_PENDING) return status;
        if (++polls == device->limit) return SUBBYTE_TIMEOUT;
        if (device->idle) device->idle(device, seen);
    }
}

void subbyte_clear_data(subbyte_device *device) { SET(device, ERRORS, MASK(ERRORS, DATA)); }

subbyte_status subbyte_run(subbyte_device *device, const subbyte_job *job) {
    uint32_t number;
    const subbyte_status status = subbyte_start(device, job, &number);
    return status == SUBBYTE_OK ? subbyte_wait(device, number) : status;
}

void subbyte_read_counters(const subbyte_device *device, subbyte_counters *counters) {
    counters->cycles = GET(device, CYCLES);
    counters->busy_cycles = GET(device, BUSY_CYCLES);
    counters->weight_stalls = GET(device, WEIGHT_STALLS);
    counters->activation_stalls = GET(device, ACTIVATION_STALLS);
    counters->scale_stalls = GET(device, SCALE_STALLS);
    counters->output_stalls = GET(device, OUTPUT_STALLS);
    counters->read_beats = GET(device, READ_BEATS);
    counters->write_beats = GET(device, WRITE_BEATS);
    counters->bus_errors = GET(device, BUS_ERRORS);
}

const char *subbyte_text(subbyte_status status) {
    static const char *const texts[] = {"done", "not done yet", "the queue takes no job now", "no subbyte accelerator here",
        "an accelerator of the stream form", "a version that this driver does not know", "nothing happened in time",
        "no such job since the last reset"};
    static const char *const causes[] = {"SIZE: a size or a number of bytes is zero", "QUEUE: full, halted or resetting",
        "DATA: results overflowed", "KEEP", "LENGTH: an array does not fit the sizes", "K_MISMATCH: weights and activations disagree",
        "K_TOO_LONG: K is longer than the sums hold", "SCALES_ORDER: scales do not end with their weights",
        "FORMAT_CHANGED: within a group", "FORMAT_UNSUPPORTED", "ALIGNMENT: no multiple of the bus",
        "BUFFER: a tile's activations do not fit", "SETTINGS: a K or a format that it does not take",
        "WINDOW: an array lies outside", "READ: the memory refused one", "WRITE: the memory refused one"};
    const uint32_t number = (uint32_t)status;
    if (number < sizeof texts / sizeof *texts) return texts[number];
    if (number - SUBBYTE_CAUSE < sizeof causes / sizeof *causes) return causes[number - SUBBYTE_CAUSE];
    return "unknown";
}
