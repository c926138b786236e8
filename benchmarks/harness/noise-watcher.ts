/** Worker of `noise.ts`: measures beside the load, so that reading /proc does not hold up what is measured. */
import { parentPort, workerData } from 'node:worker_threads'
import { machineTicks, treeTicks } from './cpu.ts'
import type { Window } from './noise.ts'

const { root, windowMs } = workerData as { root: number; windowMs: number }

const nowMs = () => performance.timeOrigin + performance.now()
let lastMs = nowMs()
let lastMachine = machineTicks()
let lastTree = treeTicks(root)

setInterval(() => {
  const endMs = nowMs()
  const machine = machineTicks()
  const tree = treeTicks(root)
  const all = machine.all - lastMachine.all
  const foreign = all === 0 ? 0 : Math.max(0, machine.busy - lastMachine.busy - (tree - lastTree)) / all
  parentPort?.postMessage({ startMs: lastMs, endMs, foreign } satisfies Window)
  lastMs = endMs
  lastMachine = machine
  lastTree = tree
}, windowMs)
