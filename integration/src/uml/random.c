/*
 * Makes the random numbers of a guest a function of a seed.
 *
 * User-Mode Linux reads its random numbers from the host with getrandom(). This library is preloaded
 * into the kernel of a guest in virtual time: addresses, ports and identifiers are the same in each
 * boot with the same TEAMR_GUEST_SEED, whose default is 0.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

/* SplitMix64. */
static uint64_t next(void)
{
	static uint64_t state;
	static int seeded;

	if (!seeded) {
		const char *seed = getenv("TEAMR_GUEST_SEED");
		state = seed ? strtoull(seed, NULL, 0) : 0;
		seeded = 1;
	}
	uint64_t mixed = state += 0x9e3779b97f4a7c15;
	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
	return mixed ^ (mixed >> 31);
}

ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
	unsigned char *bytes = buffer;

	(void)flags;
	for (size_t i = 0; i < length; i++)
		bytes[i] = next();
	return length;
}
