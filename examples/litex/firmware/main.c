/* SPDX-FileCopyrightText: 2026 subbyte contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Firmware of the simulated SoC: it runs each product on its accelerator, from the accelerator's own memory and, the first one,
 * over the SoC's bus, with the interrupt, compares every word of the results, and prints cycles. products.h comes from soc.py.
 */
#include <generated/csr.h>
#include <generated/soc.h>
#include <irq.h>

#include "products.h"
#include "subbyte.h"

static subbyte_device devices[ACCELERATORS];
static uint32_t failures;

static void put(char letter) {
    while (uart_txfull_read()) {}
    uart_rxtx_write((uint32_t)(unsigned char)letter);
}

static void text(const char *letters) {
    for (; *letters; letters++) {
        if (*letters == '\n') put('\r');
        put(*letters);
    }
}

static void number(uint32_t value) {
    char digits[11];
    int at = 10;
    digits[10] = 0;
    do { digits[--at] = (char)('0' + value % 10); } while (value /= 10);
    text(digits + at);
}

static uint32_t now(void) {
    timer0_uptime_latch_write(1);
    return (uint32_t)timer0_uptime_cycles_read();
}

void isr(void);
void isr(void) {
    const uint32_t pending = irq_pending() & irq_getmask();
    uint32_t which;
    for (which = 0; which < ACCELERATORS; which++)
        if (pending & 1u << accelerators[which].interrupt) subbyte_interrupt(&devices[which]);
}

/* Until the interrupt's handler ran, with no access to the bus: this core's `wfi` does not wait. */
static void sleep(subbyte_device *device, uint32_t seen) {
    while (device->events == seen) {}
}

/* The job with its operands one behind the other, each at a multiple of 64. */
static subbyte_job placed(const product *p, uint32_t base, uint32_t results) {
    subbyte_job job = p->job;
    subbyte_array *const arrays[] = {&job.weights, &job.activations, &job.scales, &job.constants, &job.tokens};
    uint32_t which;
    for (which = 0; which < sizeof arrays / sizeof *arrays; which++)
        if (arrays[which]->bytes) {
            arrays[which]->address = base;
            base += (arrays[which]->bytes + 63) & ~63u;
        }
    job.outputs.address = results;
    return job;
}

static uint32_t wrong_words(const product *p, const subbyte_job *job) {
    const volatile uint32_t *const found = (const volatile uint32_t *)(uintptr_t)job->outputs.address;
    const uint32_t *const expected = (const uint32_t *)(uintptr_t)p->expected;
    uint32_t word, wrong = 0;
    flush_cpu_dcache();
    for (word = 0; word < job->outputs.bytes / 4; word++) wrong += found[word] != expected[word];
    return wrong;
}

static void failed(const char *what, subbyte_status status) {
    failures++;
    text("  FAIL: ");
    text(what);
    text(": ");
    text(subbyte_text(status));
    text("\n");
}

static void clear(const subbyte_job *job) {
    volatile uint32_t *const results = (volatile uint32_t *)(uintptr_t)job->outputs.address;
    uint32_t word;
    for (word = 0; word < job->outputs.bytes / 4; word++) results[word] = 0;
}

/* In tenths of a percent; all but the last bits of larger numbers count. */
static void percent(uint32_t part, uint32_t all) {
    uint32_t share;
    while (part > 4000000) part >>= 1, all >>= 1;
    share = (1000 * part + all / 2) / all;
    number(share / 10);
    put('.');
    number(share % 10);
    text(" %");
}

/* `jobs` times the product, queued; all cycles, the accelerator's, and the share of them that the engine alone would take. */
static void measure(subbyte_device *device, const char *where, const product *p, const subbyte_job *job, uint32_t jobs) {
    subbyte_counters before, after;
    subbyte_status status = SUBBYTE_OK;
    uint32_t last = 0, which, begin, started = 0, end;
    subbyte_read_counters(device, &before);
    begin = now();
    for (which = 0; which < jobs && status == SUBBYTE_OK; which++) {
        status = subbyte_start(device, job, &last);
        if (!which) started = now();
    }
    if (status == SUBBYTE_OK) status = subbyte_wait(device, last);
    end = now();
    subbyte_read_counters(device, &after);
    if (status != SUBBYTE_OK) {
        failed(where, status);
        subbyte_reset(device);
        return;
    }
    text("  ");
    text(where);
    text(": ");
    number(jobs);
    text(jobs > 1 ? " products in " : " product in ");
    number(end - begin);
    text(" cycles (engine ");
    percent(jobs * p->engine_cycles, end - begin);
    text("; ");
    number(started - begin);
    text(" to start one); accelerator ran ");
    number(after.cycles - before.cycles);
    text(", read ");
    number((after.read_beats - before.read_beats) * device->bus_bytes);
    text(" bytes, wrote ");
    number((after.write_beats - before.write_beats) * device->bus_bytes);
    text("\n");
}

static void compare(const product *p, const subbyte_job *job) {
    const uint32_t wrong = wrong_words(p, job);
    text("    ");
    number(wrong);
    text(" of ");
    number(job->outputs.bytes / 4);
    text(" words of results wrong\n");
    failures += wrong != 0;
}

static void run_product(subbyte_device *device, const product *p) {
    const subbyte_job near = placed(p, p->operands, p->results);
    subbyte_job far;
    text("X[");
    number(p->job.m);
    text(", ");
    number(p->job.k);
    text("] @ W[");
    number(p->job.n);
    text(", ");
    number(p->job.k);
    text("].T; the engine alone would take ");
    number(p->engine_cycles);
    text(" cycles\n");
    clear(&near);
    measure(device, "own memory", p, &near, 1);
    measure(device, "own memory", p, &near, 4);
    compare(p, &near);
    if (!p->far_operands) return;
    far = placed(p, p->far_operands, p->far_results);
    clear(&far);
    measure(device, "SoC's bus", p, &far, 1);
    compare(p, &far);
}

int main(void) {
    uint32_t which, each;
    irq_setmask(0);
    irq_setie(1);
    uart_ev_enable_write(0);
    for (which = 0; which < ACCELERATORS; which++) {
        const accelerator *const a = &accelerators[which];
        subbyte_device *const device = &devices[which];
        subbyte_job bad;
        subbyte_status status;
        device->base = a->registers;
        device->idle = sleep;
        status = subbyte_open(device);
        if (status != SUBBYTE_OK) {
            failed(a->name, status);
            continue;
        }
        irq_setmask(irq_getmask() | 1u << a->interrupt);
        a->enable();
        subbyte_enable_interrupt(device, 1);
        text(device->scheme);
        text(": ");
        number(device->rows);
        text(" x ");
        number(device->cols);
        text(" x ");
        number(device->lanes);
        text(", bus of ");
        number(device->bus_bytes);
        text(" bytes\n");
        for (each = 0; each < PRODUCTS; each++) run_product(device, &a->products[each]);
        bad = placed(&a->products[0], a->products[0].operands, a->products[0].results);
        bad.weights.bytes += device->bus_bytes;
        status = subbyte_run(device, &bad);
        if (status != SUBBYTE_LENGTH) failed("a wrong length must be found", status);
        subbyte_reset(device);
        text("  ");
        number(device->events);
        text(" interrupts\n");
        if (!device->events) failed("no interrupt came", SUBBYTE_TIMEOUT);
    }
    text(failures ? "FAIL\n" : "PASS: every word of every result is right\n");
    while (!uart_txempty_read()) {}
    sim_finish_finish_write(1);
    for (;;) {}
}

/* What the compiler may ask for; there is no C library. */
void *memcpy(void *to, const void *from, size_t count);
void *memcpy(void *to, const void *from, size_t count) {
    char *t = to;
    const char *f = from;
    while (count--) *t++ = *f++;
    return to;
}

void *memset(void *to, int value, size_t count);
void *memset(void *to, int value, size_t count) {
    char *t = to;
    while (count--) *t++ = (char)value;
    return to;
}
