import { Link } from '@tanstack/react-router'
import { FolderOpen } from 'lucide-react'
import { useOpenedFile } from '../../recording/openFile.ts'
import { Empty } from '../../ui/Empty.tsx'
import { shortId } from '../../ui/format.ts'
import { Page } from '../../ui/Page.tsx'
import { Problem } from '../../ui/Problem.tsx'
import { Badge } from '../../ui/State.tsx'
import { RecordingDrop, useRecordingFile } from './RecordingDrop.tsx'
import { SessionFacts } from './SessionFacts.tsx'
import { Viewer } from './Viewer.tsx'
import { ViewerFailed } from './ViewerFailed.tsx'

const above = <Link to="/sessions">Sessions</Link>

/** A recording from a file, read in this browser. */
export default function FilePage() {
  const file = useOpenedFile()
  const { choose, take, error } = useRecordingFile()
  const button = (
    <button type="button" className="button" onClick={choose}>
      <FolderOpen size={14} aria-hidden /> {file ? 'Open another…' : 'Choose a file…'}
    </button>
  )
  const problem = error !== null && <Problem error={error} doing="open the recording" />
  if (!file) {
    return (
      <Page title="Open a recording" above={above}>
        <RecordingDrop take={take} />
        {problem}
        <Empty
          title="No file is open"
          body="Drop a .mcrec file here, or choose one. It is read in this browser and not uploaded, so it has to be opened again after a reload. The Recording button of a session saves one."
          action={button}
        />
      </Page>
    )
  }
  const { header } = file.recording
  return (
    <Page
      fill
      title={`${header.deploymentName} ${shortId(header.session)}`}
      above={above}
      beside={
        <>
          <Badge tone="quiet">from a file</Badge>
          <span className="hint">{file.name}, read in this browser</span>
        </>
      }
      actions={button}
    >
      <RecordingDrop take={take} />
      {problem}
      <ViewerFailed>
        <Viewer
          recording={file.recording}
          isLive={false}
          aside={<SessionFacts recording={file.recording} size={file.bytes.length} session={null} fileName={file.name} />}
        />
      </ViewerFailed>
    </Page>
  )
}
