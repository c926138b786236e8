import { setFlagsFromString } from 'node:v8'

/**
 * Lets the heap of this process grow to four times what is alive before all of it is looked through. What lives is small, but each large
 * answer passes through in buffers that V8 counts as growth: left to itself it looked through everything every twenty answers of 256 KB or
 * so, and frames waited meanwhile. Near the heap's own limit V8 keeps to its own measure.
 */
export function letHeapGrow(): void {
  setFlagsFromString('--heap-growing-percent=300')
}
