/* Runs recorded packets through the RFC 4733 receiver: `driver CLOCK_RATE FILE`. The file is a row
 * of gwt_packet. Prints a line `event duration_ms` for each digit. Built with ASan and UBSan. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_PACKETS 20000
#define POLL_US 5000
#define TAIL_US 2000000

int main(int argc, char **argv) {
    static gwt_packet packets[MAX_PACKETS];
    static gwt_report reports[MAX_PACKETS];
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (!file) {
        fprintf(stderr, "usage: driver CLOCK_RATE FILE\n");
        return 2;
    }
    const int count = (int)fread(packets, sizeof packets[0], MAX_PACKETS, file);
    fclose(file);
    gwm_dtmf_rx rx;
    gwm_dtmf_rx_init(&rx, (uint32_t)strtoul(argv[1], NULL, 10));
    const int n = gwt_receive(&rx, packets, count, POLL_US, TAIL_US, reports, MAX_PACKETS);
    for (int i = 0; i < n && i < MAX_PACKETS; i++)
        if (reports[i].report.kind == GWM_DTMF_RX_END)
            printf("%d %u\n", reports[i].report.event, reports[i].report.duration_ms);
    return 0;
}
