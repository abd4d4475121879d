/* A CUDA driver that does nothing but say what it is asked: NVIDIA's bindings load it in tests. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef void *ptr;
typedef unsigned int u32;
typedef uint64_t u64;

static int say(const char *text) { printf("%s\n", text); return fflush(stdout); }

int cuDriverGetVersion(int *version) { *version = 13000; return 0; }

int cuModuleLoadData(ptr *module, const char *code) {
    *module = (ptr)0x11;
    return say(code[0] == 127 && !memcmp(code + 1, "ELF", 3) ? "load ELF" : "load text");
}

int cuModuleGetFunction(ptr *function, ptr module, const char *name) {
    *function = (ptr)0x22;
    printf("function %s of %p\n", name, module);
    return 0;
}

int cuLaunchKernel(ptr function, u32 gx, u32 gy, u32 gz, u32 bx, u32 by, u32 bz, u32 shared,
                   ptr stream, int64_t **given, ptr extra) {
    printf("launch %p %u %u %u %u %u %u %u %p %d:", function, gx, gy, gz, bx, by, bz, shared,
           stream, extra == 0);
    for (int k = 0; k < 5; k++) printf(" %lld", (long long)*given[k]);
    say("");
    return *given[4] == 700 ? 700 : 0;
}

int cuStreamBeginCapture_v2(ptr stream, int mode) {
    printf("begin %p %d\n", stream, mode);
    return 0;
}

int cuStreamEndCapture(ptr stream, ptr *graph) { *graph = (ptr)0x33; return say("end"); }

int cuGraphInstantiateWithFlags(ptr *runnable, ptr graph, u64 flags) {
    *runnable = (ptr)0x44;
    printf("instantiate %p %d\n", graph, (int)flags);
    return 0;
}

int cuGraphDestroy(ptr graph) { return say("destroy graph"); }

int cuGraphExecDestroy(ptr runnable) { return say("destroy runnable"); }

int cuGraphLaunch(ptr runnable, ptr stream) {
    printf("replay %p %p\n", runnable, stream);
    return 0;
}

int cuGetProcAddress_v2(const char *name, ptr *found, int version, u64 flags, int *status) {
    const char *endings[] = {"", "_v2", "WithFlags"};
    char full[200];
    Dl_info here;
    *found = 0;
    ptr self = dladdr((ptr)cuDriverGetVersion, &here) ? dlopen(here.dli_fname, RTLD_LAZY) : 0;
    for (int k = 0; k < 3 && !*found; k++) {
        snprintf(full, sizeof full, "%s%s", name, endings[k]);
        *found = dlsym(self, full);
    }
    if (status) *status = *found ? 0 : 1;
    return *found ? 0 : 500;
}

int cuGetProcAddress(const char *name, ptr *found, int version, u64 flags) {
    return cuGetProcAddress_v2(name, found, version, flags, 0);
}
