/* WAV files: the header, and writing that never gives half a frame to a reader. */
#include "wav.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define HEADER 44 /* bytes, with one format and one data chunk */

static void put_at(gwm_wav *wav, const void *data, size_t length, uint64_t offset) {
    while (length && !wav->error) {
        ssize_t done = pwrite(wav->fd, data, length, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            wav->error = done ? errno : EIO;
            return;
        }
        data = (const char *)data + done;
        offset += (uint64_t)done;
        length -= (size_t)done;
        if (offset > HEADER + wav->written)
            wav->written = offset - HEADER;
    }
}

static void put32(uint8_t *to, uint64_t value) {
    uint32_t bounded = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
    for (unsigned i = 0; i < 4; i++)
        to[i] = (uint8_t)(bounded >> 8 * i);
}

/* A size that is not known yet, or too large for its field, is told as all ones, which readers of
 * WAV files take as "until the end of the file". */
static void put_header(gwm_wav *wav, uint64_t bytes) {
    uint8_t header[HEADER] = "RIFF....WAVEfmt \x10\0\0\0\x01\0";
    put32(header + 4, bytes > UINT32_MAX - HEADER ? UINT32_MAX : bytes + HEADER - 8);
    header[22] = (uint8_t)wav->channels;
    put32(header + 24, wav->rate);
    put32(header + 28, wav->rate * wav->channels * 2);
    header[32] = (uint8_t)(wav->channels * 2);
    header[34] = 16;
    memcpy(header + 36, "data", 4);
    put32(header + 40, bytes);
    put_at(wav, header, sizeof header, 0);
}

int gwm_wav_open(gwm_wav *wav, const char *path, unsigned rate, unsigned channels) {
    *wav = (gwm_wav){.rate = rate, .channels = channels};
    wav->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return wav->fd < 0 ? -1 : 0;
}

void gwm_wav_write(gwm_wav *wav, const void *audio, size_t length, uint64_t at) {
    if (!wav->begun)
        put_header(wav, UINT32_MAX);
    wav->begun = 1;
    put_at(wav, audio, length, HEADER + at);
}

uint64_t gwm_wav_finish(gwm_wav *wav, uint64_t bytes) {
    int failed = wav->error;
    if (failed)
        bytes = wav->written - wav->written % (wav->channels * 2);
    int nothing = failed && !bytes;
    if (ftruncate(wav->fd, nothing ? 0 : (off_t)(HEADER + bytes)) && !wav->error)
        wav->error = errno;
    if (!nothing) {
        /* Also after a failure: it lies in what the file has already. */
        int error = wav->error;
        wav->error = 0;
        put_header(wav, bytes);
        wav->error = error ? error : wav->error;
    }
    if (close(wav->fd) && !wav->error)
        wav->error = errno;
    return bytes;
}
