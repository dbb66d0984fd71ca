#define _GNU_SOURCE
#include "ccurl.h"

#include <pthread.h>

void cc_set_thread_name(const char *name) { pthread_setname_np(pthread_self(), name); }
