export interface Column<Row> {
  title: string
  text(row: Row): string
  /** Numbers stand at the right. */
  right?: boolean
}

/** Rows as aligned columns, two spaces apart. The last column is not padded, so lines do not end in blanks. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const cells = [columns.map(column => column.title), ...rows.map(row => columns.map(column => column.text(row)))]
  const widths = columns.map((_, index) => Math.max(...cells.map(line => widthOf(line[index] ?? ''))))
  return cells.map(line =>
    line
      .map((cell, index) => {
        const space = ' '.repeat(Math.max(0, widths[index]! - widthOf(cell)))
        return columns[index]?.right ? space + cell : cell + space
      })
      .join('  ')
      .trimEnd(),
  )
}

// Good enough for names and numbers: characters outside the basic plane count once.
const widthOf = (text: string) => [...text].length
