/* Compresses frames, on its own threads or on the caller's, and passes them on in order.
 *
 *     fill packer_input ─▶ packer_submit ─▶ threads ─▶ emit, one at a time, in order
 *
 * All functions on one thread; `emit` runs on that one or on the packer's threads. Memory: PACKER_AHEAD frames for each
 * thread. */
#ifndef STORE_ARCHIVE_PACKER_H
#define STORE_ARCHIVE_PACKER_H

#include "base/buf.h"
#include "base/err.h"

struct packer;

enum { PACKER_THREADS_MAX = 64, PACKER_LEVEL_MIN = 1, PACKER_LEVEL_MAX = 19 };

/* Takes the next frame, and the bytes it was made of. Never called by two threads at a time. */
typedef enum err packer_emit(void *arg, struct slice frame, struct slice raw, struct fault *fault);

/* `threads` 0: frames are compressed and passed on in packer_submit. */
enum err packer_create(int level, int threads, packer_emit *emit, void *arg, struct packer **out, struct fault *fault);
void packer_destroy(struct packer *p); /* NULL is fine */

/* The buffer for the bytes of the next frame. */
struct buf *packer_input(struct packer *p);
/* Submits the frame; waits while the threads are busy. An error may be that of an earlier frame: nothing is passed on after
 * it. */
enum err packer_submit(struct packer *p, struct fault *fault);
/* Waits until all frames were passed on. The same errors. */
enum err packer_flush(struct packer *p, struct fault *fault);

#endif
