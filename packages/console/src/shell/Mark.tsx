/** Two sockets and the cord between them. */
export function Mark({ size = 20 }: { size?: number }) {
  return (
    <svg className="mark" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
      <rect width="24" height="24" rx="5" />
      <g fill="none" strokeWidth="1.8">
        <circle cx="7.2" cy="7.2" r="2.4" />
        <circle cx="16.8" cy="16.8" r="2.4" />
        <path d="M7.2 9.6v2.2c0 6.4 9.6-2 9.6 2.6" strokeLinecap="round" />
      </g>
      <circle className="mark-hole" cx="16.8" cy="7.2" r="1.4" />
      <circle className="mark-hole" cx="7.2" cy="16.8" r="1.4" />
    </svg>
  )
}
