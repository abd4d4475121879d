/* A CUDA driver of two devices whose memory is the host's, and whose kernels do nothing.

   Every thread has a stack of contexts, as CUDA's manual says; calls on a stream of another
   context, and of memory without a context, are refused. NVIDIA's bindings load it in tests. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uintptr_t handle;
enum { FIRST = 0x1000, STREAMS = 64 };

static __thread handle stack[64];
static __thread int depth;
static handle owner[STREAMS];
static int streams, launches, across, dies;

int stub_depth(void) { return depth; }
int stub_across(void) { return across; }
void stub_die(int after) { dies = launches + after; }

static int on(handle stream) {
    if (!depth) return 201;
    return stream && owner[stream] != stack[depth - 1] ? 400 : 0;
}

static int copy(void *to, const void *from, size_t size, handle stream) {
    int bad = on(stream);
    if (!bad) memcpy(to, from, size);
    return bad;
}

/* --- devices and contexts --- */
int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int k) { *device = k; return k < 2 ? 0 : 101; }
int cuDeviceGetName(char *name, int size, int k) { snprintf(name, size, "Stub %d", k); return 0; }
int cuDeviceTotalMem_v2(size_t *size, int k) { *size = (size_t)8 << 30; return 0; }
int cuDeviceGetUuid_v2(char *id, int k) { memset(id, k, 16); return 0; }
int cuDeviceGetAttribute(int *value, int which, int k) {
    *value = which == 75 ? 9 : which == 76 ? 0 : 1;
    return 0;
}
int cuDevicePrimaryCtxRetain(handle *context, int k) { *context = FIRST + k; return 0; }
int cuDevicePrimaryCtxRelease_v2(int k) { return 0; }
int cuCtxGetCurrent(handle *context) { *context = depth ? stack[depth - 1] : 0; return 0; }
int cuCtxSetCurrent(handle context) { stack[depth ? depth - 1 : depth++] = context; return 0; }
int cuCtxPushCurrent_v2(handle context) { stack[depth++] = context; return 0; }
int cuCtxPopCurrent_v2(handle *context) {
    if (!depth) return 201;
    *context = stack[--depth];
    return 0;
}
int cuCtxGetDevice(int *device) {
    if (!depth) return 201;
    *device = (int)(stack[depth - 1] - FIRST);
    return 0;
}
int cuDeviceCanAccessPeer(int *can, int one, int other) { *can = 1; return 0; }
int cuCtxEnablePeerAccess(handle other, unsigned flags) {
    return !depth || other == stack[depth - 1];
}

/* --- memory, streams, copies --- */
int cuMemGetInfo_v2(size_t *room, size_t *all) {
    *room = (size_t)4 << 30, *all = (size_t)8 << 30;
    return depth ? 0 : 201;
}
int cuMemAlloc_v2(handle *memory, size_t size) {
    if (!depth) return 201;
    if (size > (size_t)1 << 28) return 2;
    *memory = (handle)calloc(1, size);
    return 0;
}
int cuMemFree_v2(handle memory) {
    if (!depth) return 201;
    free((void *)memory);
    return 0;
}
int cuMemHostAlloc(void **memory, size_t size, unsigned flags) {
    *memory = calloc(1, size);
    return depth ? 0 : 201;
}
int cuMemFreeHost(void *memory) { free(memory); return 0; }
int cuStreamCreate(handle *stream, unsigned flags) {
    if (!depth || streams + 1 == STREAMS) return 201;
    owner[*stream = ++streams] = stack[depth - 1];
    return 0;
}
int cuStreamDestroy_v2(handle stream) { return 0; }
int cuStreamSynchronize(handle stream) { return on(stream); }
int cuMemcpyHtoDAsync_v2(handle to, void *from, size_t size, handle stream) {
    return copy((void *)to, from, size, stream);
}
int cuMemcpyDtoHAsync_v2(void *to, handle from, size_t size, handle stream) {
    return copy(to, (void *)from, size, stream);
}
int cuMemcpyPeerAsync(handle to, handle there, handle from, handle here, size_t size,
                      handle stream) {
    across++;
    return there == here ? 1 : copy((void *)to, (void *)from, size, stream);
}

/* --- kernels --- */
int cuModuleLoadData(handle *module, const void *code) { *module = 0x11; return depth ? 0 : 201; }
int cuModuleGetFunction(handle *found, handle module, const char *name) {
    *found = 0x22;
    return 0;
}
int cuLaunchKernel(handle kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned shared, handle stream, void **given, void **extra) {
    int bad = on(stream);
    return bad ? bad : dies && ++launches > dies ? 700 : 0;
}

int cuGetProcAddress_v2(const char *name, void **found, int version, uint64_t flags, int *status) {
    char full[200];
    Dl_info here;
    void *self = dladdr((void *)cuInit, &here) ? dlopen(here.dli_fname, RTLD_LAZY) : 0;
    snprintf(full, sizeof full, "%s_v2", name);
    *found = dlsym(self, full);
    if (!*found) *found = dlsym(self, name);
    if (status) *status = *found ? 0 : 1;
    return *found ? 0 : 500;
}
