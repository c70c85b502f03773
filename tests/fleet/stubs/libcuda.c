/* A STUB of libcuda.so.1 for tests: no GPU is here. cuInit() returns CODE; -1 hangs, -2 crashes.
   gcc -DCODE=0 -shared -nostdlib -fPIC -o libcuda.so.1 libcuda.c */
#ifndef CODE
#define CODE 0
#endif
#ifndef DEVICES
#define DEVICES 4
#endif

int cuInit(unsigned int flags) {
    (void)flags;
    if (CODE == -1)
        for (volatile int turn = 0;; turn = 1)
            ;
    if (CODE == -2)
        __builtin_trap();
    return CODE;
}

int cuDeviceGetCount(int *count) {
    *count = DEVICES;
    return 0;
}
