import { Component, type ReactNode } from 'react'
import { Problem } from '../../ui/Problem.tsx'

/** Holds what a recording nobody foresaw breaks to the viewer: facts, download and replay of the session stay. */
export class ViewerFailed extends Component<{ children: ReactNode }, { error: unknown }> {
  override state = { error: null as unknown }

  static getDerivedStateFromError(error: unknown) {
    return { error: error ?? 'no reason was given' }
  }

  override render() {
    if (this.state.error === null) return this.props.children
    return <Problem error={this.state.error} doing="show this recording; it can still be downloaded" />
  }
}
