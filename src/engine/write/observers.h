/* Several observers of the writer as one. */
#ifndef ENGINE_WRITE_OBSERVERS_H
#define ENGINE_WRITE_OBSERVERS_H

#include "engine/write/writer.h"

enum { OBSERVERS_MAX = 8 };

struct observers {
	struct writer_observer all; /* to be given to the writer */
	const struct writer_observer *each[OBSERVERS_MAX];
	int count;
	bool due[OBSERVERS_MAX]; /* which of them save in the open transaction */
};

void observers_init(struct observers *o);
/* Borrowed. */
void observers_add(struct observers *o, const struct writer_observer *observer);

#endif
