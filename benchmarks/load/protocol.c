#include "load/protocol.h"

#include <string.h>

const struct protocol *protocol_find(const char *name)
{
	static const struct protocol *const all[] = {&tidemark_http, &tidemark_ws, &redis_stream, &redis_pubsub,
						     &nats_core,     &nchan_http,  &nchan_ws};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

uint64_t number_after(const char *text, size_t len, const char *key)
{
	const char *at = memmem(text, len, key, strlen(key));
	return at == NULL ? 0 : number_at(at + strlen(key));
}
