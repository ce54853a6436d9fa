/* A WAV file that is written piece by piece, each at its place; what is left out reads as silence.
 * 16-bit PCM. Used by one thread at a time. */
#ifndef GWM_WAV_H
#define GWM_WAV_H

#include <stddef.h>
#include <stdint.h>

typedef struct gwm_wav {
    int fd;
    unsigned rate, channels;
    int begun;
    int error;        /* errno of the first failure; nothing is written after it. 0: none */
    uint64_t written; /* bytes of audio, up to the last that is in the file */
} gwm_wav;

/* Makes a new file of mode 0600; it must not exist. 0, or -1 with errno. */
int gwm_wav_open(gwm_wav *wav, const char *path, unsigned rate, unsigned channels);
/* Puts audio at a place, both in bytes. */
void gwm_wav_write(gwm_wav *wav, const void *audio, size_t length, uint64_t at);
/* Makes the file `bytes` long, or as long as it came before a failure, fills in its sizes and
 * closes it. Returns its length in bytes of audio; a file without any, after a failure, is empty.
 */
uint64_t gwm_wav_finish(gwm_wav *wav, uint64_t bytes);

#endif
