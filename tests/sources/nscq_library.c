/* NVIDIA's libnvidia-nscq.so.2 with as many NVSwitches as there are recordings: switch-N.report and switch-N.chain in
   $RECORDED.  Structures and names are of nscq_attestation.h (API 2.0); knobs are environment variables.  The UUIDs
   fall with N, so that the order of the answers is not that of the UUIDs. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int8_t nscq_rc_t;
typedef struct { uint8_t bytes[16]; } nscq_uuid_t;
typedef struct { uint32_t report_size; uint8_t report[0x2000]; } Report;
typedef struct { uint8_t cert_chain[0x1400]; uint32_t cert_chain_size; } Certificate;
typedef struct { uint8_t nonce[32]; } Session;
typedef struct { nscq_rc_t rc; Session *session; } SessionResult;

typedef void (*ReportFn)(const nscq_uuid_t *, nscq_rc_t, Report, void *);
typedef void (*CertificateFn)(const nscq_uuid_t *, nscq_rc_t, Certificate, void *);

static int knob(const char *name) {
    const char *value = getenv(name);
    return value ? atoi(value) : 0;
}

static int recorded(int index, const char *kind, uint8_t *into, unsigned room) {
    char path[4096];
    snprintf(path, sizeof path, "%s/switch-%d.%s", getenv("RECORDED"), index, kind);
    FILE *file = fopen(path, "rb");
    if (!file) return -1;
    int length = (int)fread(into, 1, room, file);
    fclose(file);
    return length;
}

SessionResult nscq_session_create(uint32_t flags) {
    /* 1: mount the devices; without it there are no answers. */
    SessionResult result = {(nscq_rc_t)(flags == 1 ? knob("NSCQ_CREATE") : -1), calloc(1, sizeof(Session))};
    return result;
}

void nscq_session_destroy(Session *session) { free(session); }

nscq_rc_t nscq_session_set_input(Session *session, uint32_t flags, void *input, uint32_t size) {
    if (flags || size != sizeof session->nonce) return -5;
    memcpy(session->nonce, input, size);
    return (nscq_rc_t)knob("NSCQ_INPUT");
}

nscq_rc_t nscq_session_path_observe(Session *session, const char *path, void (*callback)(void), void *data, uint32_t flags) {
    (void)session;
    if (flags || knob("NSCQ_OBSERVE")) return -5;
    for (int index = 0;; ++index) {
        /* NSCQ_NAMES 1: all have one name; 2: none has any. */
        nscq_uuid_t named = {{(uint8_t)(knob("NSCQ_NAMES") == 1 ? 1 : 200 - index)}};
        const nscq_uuid_t *uuid = knob("NSCQ_NAMES") == 2 ? NULL : &named;
        nscq_rc_t rc = (nscq_rc_t)knob("NSCQ_DEVICE");
        static Report report;
        static Certificate certificate;
        int length;
        if (!strcmp(path, "/{nvswitch}/config/attestation_report")) {
            if ((length = recorded(index, "report", report.report, sizeof report.report)) < 0) return 0;
            report.report_size = (uint32_t)length;
            ((ReportFn)callback)(uuid, rc, report, data);
        } else if (!strcmp(path, "/{nvswitch}/config/certificate")) {
            length = recorded(index, "chain", certificate.cert_chain, sizeof certificate.cert_chain);
            if (length < 0) return 0;
            certificate.cert_chain_size = (uint32_t)length;
            ((CertificateFn)callback)(uuid, rc, certificate, data);
        } else {
            return -5;
        }
    }
}
