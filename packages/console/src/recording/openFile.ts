import type { Recording } from '@maestro/logic'
import { useSyncExternalStore } from 'react'
import { readTape } from './readTape.ts'

export interface OpenedFile {
  name: string
  bytes: Uint8Array
  recording: Recording
}

let opened: OpenedFile | null = null
const watchers = new Set<() => void>()

/** Reads a recording file in this browser and keeps it until the page is left. Throws `ApiError`. */
export async function openFile(file: File): Promise<OpenedFile> {
  const bytes = new Uint8Array(await file.arrayBuffer())
  opened = { name: file.name, bytes, recording: readTape(bytes) }
  for (const watcher of watchers) watcher()
  return opened
}

export function useOpenedFile(): OpenedFile | null {
  return useSyncExternalStore(
    watcher => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    () => opened,
  )
}
