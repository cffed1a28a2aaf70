/* The payload of a WebSocket's Close frame. */
#ifndef SERVER_MESSAGE_CLOSE_FRAME_H
#define SERVER_MESSAGE_CLOSE_FRAME_H

#include "base/slice.h"

enum { CLOSE_PROTOCOL_ERROR = 1002, CLOSE_BAD_TEXT = 1007 };

/* 0: `payload` is valid for a Close frame (RFC 6455, 5.5.1 and 7.4); otherwise the close code to answer with. */
int close_frame_fault(struct slice payload);

#endif
