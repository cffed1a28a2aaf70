/* Work that nobody waits for at once, beside work that somebody does. */
#ifndef BASE_SYSTEM_BACKGROUND_H
#define BASE_SYSTEM_BACKGROUND_H

/* From now on the calling thread has a smaller share where processors are short (`nice` as in setpriority(2), from 1 to 19),
 * and takes none from a thread that is running (SCHED_BATCH, sched(7)). */
void background(int nice);

#endif
