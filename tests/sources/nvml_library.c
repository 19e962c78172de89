/* A driver's libnvidia-ml.so.1 with as many GPUs as there are recordings: N.report and N.chain in $RECORDED.
   Structures and names are NVML's (nvml.h, confidential computing); knobs are environment variables. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, UNKNOWN = 999 };

typedef struct { unsigned environment, ccFeature, devToolsMode; } State;
typedef struct { unsigned version, environment, ccFeature, devToolsMode, multiGpuMode; } Settings;
typedef struct {
    unsigned certChainSize, attestationCertChainSize;
    unsigned char certChain[0x1000], attestationCertChain[0x1400];
} Certificate;
typedef struct {
    unsigned isCecAttestationReportPresent, attestationReportSize, cecAttestationReportSize;
    unsigned char nonce[0x20], attestationReport[0x2000], cecAttestationReport[0x1000];
} Report;

static unsigned knob(const char *name, unsigned otherwise) {
    const char *value = getenv(name);
    return value ? (unsigned)atoi(value) : otherwise;
}

/* The bytes of a recording, or -1. */
static int recorded(unsigned index, const char *kind, unsigned char *into, unsigned room) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%u.%s", getenv("RECORDED"), index, kind);
    FILE *file = fopen(path, "rb");
    if (!file) return -1;
    int length = (int)fread(into, 1, room, file);
    fclose(file);
    return length;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return SUCCESS; }
int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int result) { return result == NOT_SUPPORTED ? "Not Supported" : "Unknown Error"; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    static unsigned char discarded[0x2000];
    for (*count = 0; recorded(*count, "report", discarded, sizeof discarded) >= 0; ++*count);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(size_t)(index + 1);
    return SUCCESS;
}

int nvmlDeviceGetArchitecture(void *device, unsigned *architecture) {
    (void)device;
    *architecture = knob("ARCHITECTURE", 9);
    return SUCCESS;
}

int nvmlSystemGetConfComputeState(State *state) {
    *state = (State){2, knob("CC", 1), knob("DEVTOOLS", 0)};
    return SUCCESS;
}

int nvmlSystemGetConfComputeSettings(Settings *settings) {
    if (settings->version != (1u << 24 | sizeof *settings)) return INVALID_ARGUMENT;
    *settings = (Settings){settings->version, 2, knob("CC", 1), knob("DEVTOOLS", 0), knob("PPCIE", 0)};
    return SUCCESS;
}

int nvmlDeviceGetConfComputeGpuCertificate(void *device, Certificate *certificate) {
    unsigned index = (unsigned)(size_t)device - 1;
    int length = recorded(index, "chain", certificate->attestationCertChain, sizeof certificate->attestationCertChain);
    if (length < 0) return UNKNOWN;
    certificate->attestationCertChainSize = (unsigned)length;
    return SUCCESS;
}

int nvmlDeviceGetConfComputeGpuAttestationReport(void *device, Report *report) {
    unsigned index = (unsigned)(size_t)device - 1;
    if (!knob("CC", 1)) return NOT_SUPPORTED;
    int length = recorded(index, "report", report->attestationReport, sizeof report->attestationReport);
    if (length < 0) return UNKNOWN;
    /* What was recorded answers one nonce; a device signs any. */
    report->attestationReportSize = (unsigned)length;
    return memcmp(report->attestationReport + 4, report->nonce, sizeof report->nonce) ? UNKNOWN : SUCCESS;
}
