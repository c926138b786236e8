import { Link } from '@tanstack/react-router'
import { Empty } from '../ui/Empty.tsx'
import { Page } from '../ui/Page.tsx'

export function NotFound() {
  return (
    <Page title="No such page">
      <Empty
        title="There is nothing at this address"
        body="The link may be mistyped, or from another version of the console."
        action={
          <Link to="/" className="button">
            Go to the overview
          </Link>
        }
      />
    </Page>
  )
}
