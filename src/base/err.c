#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

const char *err_name(enum err code)
{
	switch (code) {
	case ERR_NONE: return "fine";
	case ERR_NOMEM: return "out of memory";
	case ERR_INVALID: return "invalid";
	case ERR_TOO_LARGE: return "too large";
	case ERR_NOT_FOUND: return "not found";
	case ERR_GONE: return "gone";
	case ERR_CONFLICT: return "conflict";
	case ERR_BUSY: return "busy";
	case ERR_FULL: return "disk full";
	case ERR_IO: return "input/output error";
	case ERR_CORRUPT: return "corrupt";
	case ERR_NEWER: return "made by a newer version";
	case ERR_LOCKED: return "locked";
	case ERR_CLOSED: return "closed";
	case ERR_DENIED: return "denied";
	case ERR_RATE: return "too fast";
	}
	return "unknown";
}

enum err fault_set(struct fault *f, enum err code, const char *format, ...)
{
	if (f == NULL)
		return code;
	va_list args;
	va_start(args, format);
	f->code = code;
	f->place = -1;
	f->kind = NULL;
	f->compared = false;
	vsnprintf(f->text, sizeof f->text, format, args);
	va_end(args);
	return code;
}

enum err fault_kind(struct fault *f, enum err code, const char *kind)
{
	if (f != NULL)
		f->kind = kind;
	return code;
}

enum err fault_in(struct fault *f, const char *where, enum err code)
{
	if (f == NULL)
		return code;
	struct fault below = *f;
	fault_set(f, code, "%s: %s", where, below.text);
	f->place = below.place;
	f->kind = below.kind;
	return code;
}

enum err fault_nomem(struct fault *f)
{
	return fault_set(f, ERR_NOMEM, "out of memory");
}
