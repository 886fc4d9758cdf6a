{{/* DNS, Redis, the collector and the model server: what a role, and `load`, may need. */}}

{{- define "plugrank.egressCommon" -}}
{{- $policy := .root.Values.networkPolicy -}}
- ports:
    - { protocol: UDP, port: {{ $policy.dns.port }} }
    - { protocol: TCP, port: {{ $policy.dns.port }} }
  {{- with $policy.dns.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- if not (include "plugrank.embedded" .root) }}
{{- if .root.Values.redis.bundled.enabled }}
- ports:
    - { protocol: TCP, port: 6379 }
  to:
    - podSelector:
        matchLabels:
          {{- include "plugrank.selector" (dict "root" .root "role" "redis") | nindent 10 }}
{{- else }}
- ports:
    {{- range (include "plugrank.redisPorts" .root | fromJson).ports }}
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
  {{- with $policy.redis.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- $settings := include "plugrank.settings" (dict "root" .root "role" (ternary (include "plugrank.loadRole" .root) .role (eq .role "load"))) | fromJson }}
{{- $engine := dig "retrieval" "engine" dict $settings }}
{{- if and (has .role (list "all" "retrieval")) (eq (dig "kind" "" $engine) "redis") }}
{{- $addresses := compact (concat (dig "redis" "cluster_urls" list $engine) (list (dig "redis" "url" "" $engine))) }}
- ports:
    {{- $ports := list }}
    {{- range $addresses }}
    {{- $ports = append $ports (regexFind ":[0-9]+$" (urlParse .).host | trimPrefix ":" | default "6379" | int) }}
    {{- end }}
    {{- range uniq $ports }}
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
  {{- with $policy.vectors.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- $endpoint := dig "telemetry" "otlp_endpoint" "" $settings }}
{{- if $endpoint }}
{{- $port := regexFind ":[0-9]+$" (urlParse $endpoint).host | trimPrefix ":" }}
- ports:
    - { protocol: TCP, port: {{ $port | default (ternary "443" "80" (hasPrefix "https:" $endpoint)) }} }
  {{- with $policy.otlp.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- if has .role (list "all" "scoring") }}
{{- range dig "scoring" "open_inference" "url" "" $settings | splitList "," | compact }}
- ports:
    - { protocol: TCP, port: {{ regexFind ":[0-9]+$" (urlParse (trim .)).host | trimPrefix ":" | default "80" }} }
  {{- with $policy.openInference.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* {"ports": [...]} of the Redis servers elsewhere: those of addresses, where the chart can see them. */}}
{{- define "plugrank.redisPorts" -}}
{{- $redis := .Values.redis -}}
{{- $ports := list -}}
{{- range concat $redis.cluster.urls $redis.sentinel.urls (compact (list $redis.url)) -}}
{{- $ports = append $ports (regexFind ":[0-9]+$" (urlParse .).host | trimPrefix ":" | default "6379" | int) -}}
{{- end -}}
{{- if or $redis.existingSecret $redis.sentinel.urls -}}
{{- $ports = append $ports (int .Values.networkPolicy.redis.port) -}}
{{- end -}}
{{- dict "ports" ($ports | uniq) | toJson -}}
{{- end -}}
