/* Runs a fuzz target without libFuzzer: `driver PACKETS SEED [FILE...]` gives it the files, then
 * pseudo-random inputs until it has seen so many packets. Built with ASan and UBSan. */
#include "fuzz.h"

#include <inttypes.h>

#define MAX_INPUT 4096

static uint64_t state;

/* xorshift64*: the same inputs for the same seed, everywhere. */
static uint64_t next(void) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(0x2545F4914F6CDD1D);
}

static int run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return -1;
    }
    static uint8_t data[1 << 20];
    const size_t len = fread(data, 1, sizeof data, file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, len);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s PACKETS SEED [FILE...]\n", argv[0]);
        return 2;
    }
    const uint64_t packets = strtoull(argv[1], NULL, 10);
    state = strtoull(argv[2], NULL, 10) | 1;
    for (int i = 3; i < argc; i++)
        if (run_file(argv[i]) != 0)
            return 2;
    uint64_t inputs = 0;
    while (gwt_packets < packets) {
        const size_t len = next() % MAX_INPUT + 1;
        uint8_t *data = malloc(len); /* of this size, so that reading past it is seen */
        CHECK(data);
        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)(next() >> 56);
        LLVMFuzzerTestOneInput(data, len);
        free(data);
        inputs++;
    }
    printf("inputs %" PRIu64 " packets %" PRIu64 "\n", inputs, gwt_packets);
    return 0;
}
