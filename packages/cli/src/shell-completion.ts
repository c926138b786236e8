export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

/** The script a shell loads. It asks `maestro completion --words …` while a person types, so it never grows old. */
export function shellCompletion(shell: Shell): string {
  return scripts[shell]
}

const scripts: Readonly<Record<Shell, string>> = {
  bash: `# Load with: source <(maestro completion bash)
_maestro() {
  local IFS=$'\\n'
  COMPREPLY=($(maestro completion bash --words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _maestro maestro
`,
  zsh: `#compdef maestro
# Load with: source <(maestro completion zsh)
_maestro() {
  local -a found
  found=("\${(@f)$(maestro completion zsh --words -- "\${(@)words[2,$CURRENT]}" 2>/dev/null)}")
  if (( \${#found} )) && [[ -n "\${found[1]}" ]]; then compadd -- "\${found[@]}"; else _files; fi
}
compdef _maestro maestro
`,
  fish: `# Load with: maestro completion fish | source
function __maestro_complete
  set -l words (commandline -opc) (commandline -ct)
  maestro completion fish --words -- $words[2..-1] 2>/dev/null
end
complete -c maestro -a '(__maestro_complete)'
`,
}
