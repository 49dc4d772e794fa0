// The LZ4 block and frame interfaces of liblz4.
#pragma once
#include <lz4.h>
#include <lz4frame.h>
