/** Takes what could let somebody in out of what npm said: URL user parts, auth settings, bearer and npm tokens. */
export function withoutCredentials(text: string): string {
  return text
    .replace(/\/\/[^\s/@]+@/g, '//')
    .replace(
      /\b(_authToken|_auth|_password|authorization|token|password)("?\s*[=:]\s*"?)(?:(?:bearer|basic)\s+)?[^\s"',;]+/gi,
      '$1$2[removed]',
    )
    .replace(/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, '$1 [removed]')
    .replace(/\b(?:npm_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|eyJ[\w-]+\.[\w-]+\.[\w-]*)/g, '[removed]')
}
