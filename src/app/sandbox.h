/* A system call filter that refuses what the server never does: programs, other processes, other kinds of sockets,
 * administration. */
#ifndef APP_SANDBOX_H
#define APP_SANDBOX_H

#include "base/err.h"

/* Sets a permanent filter (seccomp) for all threads of the process: refused calls fail with EPERM, and privileges cannot
 * be gained. */
enum err sandbox_enter(struct fault *fault);

#endif
