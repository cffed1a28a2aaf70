/* Several observers of the writer as one. */
#ifndef ENGINE_WRITE_OBSERVERS_H
#define ENGINE_WRITE_OBSERVERS_H

#include "engine/write/writer.h"

enum { OBSERVERS = 2 };

struct observers {
	struct writer_observer all; /* to be given to the writer */
	const struct writer_observer *each[OBSERVERS];
	bool due[OBSERVERS]; /* those whose figures go into the open transaction */
};

/* Borrows them. One that applies nothing has no `apply`. */
void observers_init(struct observers *o, const struct writer_observer *first, const struct writer_observer *second);

#endif
