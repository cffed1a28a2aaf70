#include "engine/write/observers.h"

static void apply(void *arg, const struct committed *c)
{
	struct observers *o = arg;
	for (int i = 0; i < OBSERVERS; i++)
		if (o->each[i]->apply != NULL)
			o->each[i]->apply(o->each[i]->arg, c);
}

static bool is_due(void *arg, bool last, uint64_t leaving)
{
	struct observers *o = arg;
	bool any = false;
	for (int i = 0; i < OBSERVERS; i++) {
		o->due[i] = o->each[i]->is_due(o->each[i]->arg, last, leaving);
		any = any || o->due[i];
	}
	return any;
}

static enum err save(void *arg, struct store *store, struct fault *fault)
{
	struct observers *o = arg;
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < OBSERVERS; i++)
		if (o->due[i])
			err = o->each[i]->save(o->each[i]->arg, store, fault);
	return err;
}

static void saved(void *arg, bool committed)
{
	struct observers *o = arg;
	for (int i = 0; i < OBSERVERS; i++)
		if (o->due[i])
			o->each[i]->saved(o->each[i]->arg, committed);
}

void observers_init(struct observers *o, const struct writer_observer *first, const struct writer_observer *second)
{
	*o = (struct observers){.all = {o, apply, is_due, save, saved}, .each = {first, second}};
}
