#include "server/message/close_frame.h"

#include "json/json.h"

/* Codes that an endpoint may send: standard, registered, or of an application. */
static bool is_code(int code)
{
	bool reserved = code == 1004 || code == 1005 || code == 1006;
	return (code >= 1000 && code <= 1014 && !reserved) || (code >= 3000 && code <= 4999);
}

int close_frame_fault(struct slice payload)
{
	if (payload.len == 0)
		return 0;
	if (payload.len == 1)
		return CLOSE_PROTOCOL_ERROR;
	int code = (unsigned char)payload.p[0] << 8 | (unsigned char)payload.p[1];
	if (!is_code(code))
		return CLOSE_PROTOCOL_ERROR;
	return json_utf8((struct slice){payload.p + 2, payload.len - 2}) ? 0 : CLOSE_BAD_TEXT;
}
