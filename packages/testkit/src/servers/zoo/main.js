#!/usr/bin/env node
/** `main.js <animal>`: one source of behaviour each, so that a replay that differs says why. */
import { serve } from './serve.js'

const animals = ['asking', 'clock', 'counter', 'paged', 'progress', 'random', 'still', 'timer']
const [name = 'still'] = process.argv.slice(2)
if (!animals.includes(name)) {
  console.error(`zoo: no animal ${JSON.stringify(name)}; there are ${animals.join(', ')}`)
  process.exit(2)
}
const { animal } = await import(`./${name}.js`)
serve(name, animal)
