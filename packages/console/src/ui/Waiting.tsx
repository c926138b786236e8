/** Says what is awaited. Appears late, so that a quick answer does not flicker. */
export function Waiting({ what }: { what: string }) {
  return (
    <p className="waiting" role="status">
      <span className="waiting-dot" aria-hidden="true" />
      {what}
    </p>
  )
}
