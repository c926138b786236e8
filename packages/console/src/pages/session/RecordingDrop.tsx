import { useNavigate } from '@tanstack/react-router'
import { useCallback, useEffect, useState } from 'react'
import { openFile } from '../../recording/openFile.ts'

/** Opens a recording file in the viewer: by asking for one, or handed over. */
export function useRecordingFile() {
  const navigate = useNavigate()
  const [error, setError] = useState<unknown>(null)

  const take = useCallback(
    async (file: File) => {
      try {
        await openFile(file)
        setError(null)
        await navigate({ to: '/file' })
      } catch (cause) {
        setError(cause)
      }
    },
    [navigate],
  )
  function choose() {
    const input = document.createElement('input')
    input.type = 'file'
    input.accept = '.mcrec'
    input.onchange = () => input.files?.[0] && void take(input.files[0])
    input.click()
  }
  return { choose, take, error }
}

/** Takes a recording dropped anywhere on the page. */
export function RecordingDrop({ take }: { take: (file: File) => Promise<void> }) {
  const [over, setOver] = useState(false)
  useEffect(() => {
    const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files')
    const onOver = (event: DragEvent) => {
      if (!holdsFiles(event)) return
      event.preventDefault()
      setOver(true)
    }
    const onLeave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false)
    }
    const onDrop = (event: DragEvent) => {
      if (!holdsFiles(event)) return
      event.preventDefault()
      setOver(false)
      const file = event.dataTransfer?.files[0]
      if (file) void take(file)
    }
    document.addEventListener('dragover', onOver)
    document.addEventListener('dragleave', onLeave)
    document.addEventListener('drop', onDrop)
    return () => {
      document.removeEventListener('dragover', onOver)
      document.removeEventListener('dragleave', onLeave)
      document.removeEventListener('drop', onDrop)
    }
  }, [take])
  if (!over) return null
  return (
    <div className="drop" aria-hidden="true">
      <p>Drop the recording to read it in this browser. It is not uploaded.</p>
    </div>
  )
}
