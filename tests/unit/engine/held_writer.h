/* A writer whose thread is held in the middle of a transaction, as by a disk that hangs. */
#ifndef HELD_WRITER_H
#define HELD_WRITER_H

#include <semaphore.h>

#include "engine/write/writer.h"
#include "unit/check.h"

static sem_t writer_held;
static sem_t writer_goes_on;

static enum err on_hold(struct write_op *op, struct store *s, struct fault *f)
{
	(void)op;
	(void)s;
	(void)f;
	sem_post(&writer_held);
	sem_wait(&writer_goes_on);
	return ERR_NONE;
}

static void on_hold_ended(struct write_op *op)
{
	(void)op;
}

static struct write_op holder;

/* Nothing is committed after this until writer_goes_on is posted. */
static void hold_writer(struct writer *writer)
{
	struct fault fault;
	sem_init(&writer_held, 0, 0);
	sem_init(&writer_goes_on, 0, 0);
	holder = (struct write_op){.change = on_hold, .done = on_hold_ended};
	list_init(&holder.link);
	CHECK(writer_submit(writer, &holder, &fault) == ERR_NONE);
	sem_wait(&writer_held);
}

#endif
