#include "engine/write/observers.h"

#include <assert.h>

static void apply(void *arg, const struct committed *c)
{
	struct observers *o = arg;
	for (int i = 0; i < o->count; i++)
		if (o->each[i]->apply != NULL)
			o->each[i]->apply(o->each[i]->arg, c);
}

static bool is_due(void *arg, bool last, uint64_t evict_upto)
{
	struct observers *o = arg;
	bool any = false;
	for (int i = 0; i < o->count; i++) {
		o->due[i] = o->each[i]->is_due(o->each[i]->arg, last, evict_upto);
		any = any || o->due[i];
	}
	return any;
}

static enum err save(void *arg, struct store *store, struct fault *fault)
{
	struct observers *o = arg;
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < o->count; i++)
		if (o->due[i])
			err = o->each[i]->save(o->each[i]->arg, store, fault);
	return err;
}

static void saved(void *arg, bool committed)
{
	struct observers *o = arg;
	for (int i = 0; i < o->count; i++)
		if (o->due[i])
			o->each[i]->saved(o->each[i]->arg, committed);
}

static enum err admit(void *arg, const struct batch *batch, struct append_options *options, struct fault *fault)
{
	struct observers *o = arg;
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < o->count; i++)
		if (o->each[i]->admit != NULL)
			err = o->each[i]->admit(o->each[i]->arg, batch, options, fault);
	return err;
}

void observers_init(struct observers *o)
{
	*o = (struct observers){.all = {o, apply, is_due, save, saved, admit}};
}

void observers_add(struct observers *o, const struct writer_observer *observer)
{
	assert(o->count < OBSERVERS_MAX);
	o->each[o->count++] = observer;
}
