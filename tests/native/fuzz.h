/* What the fuzz targets share: bytes as decisions, and a check that stops at once. */
#ifndef GWT_FUZZ_H
#define GWT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

typedef struct input {
    const uint8_t *data;
    size_t len, at;
} input;

static inline uint8_t take_u8(input *in) { return in->at < in->len ? in->data[in->at++] : 0; }

static inline uint32_t take_u32(input *in) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 8 | take_u8(in);
    return value;
}

/* Packets given to the code under test so far. */
extern uint64_t gwt_packets;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif
