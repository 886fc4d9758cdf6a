{{/* Which roles there are, what each is like, and who calls whom. */}}

{{/* {"roles": [...]} of the topology. */}}
{{- define "plugrank.roles" -}}
{{- if eq .Values.topology "split" -}}
{"roles": ["gateway", "retrieval", "embedding", "scoring", "reranking"]}
{{- else -}}
{"roles": ["all"]}
{{- end -}}
{{- end -}}

{{/* The roles that a role calls. Addresses and network policies are both made from this. */}}
{{- define "plugrank.calls" -}}
{
  "all": [],
  "gateway": ["retrieval", "embedding", "scoring", "reranking"],
  "retrieval": ["embedding"],
  "embedding": [],
  "scoring": ["embedding"],
  "reranking": ["embedding"]
}
{{- end -}}

{{/* A role's values: its own over the defaults of all. */}}
{{- define "plugrank.role" -}}
{{- $own := index .root.Values.roles .role | default dict -}}
{{- mustMergeOverwrite (deepCopy .root.Values.roleDefaults) (deepCopy $own) | toJson -}}
{{- end -}}

{{/* Whether a role opens the model bundle. */}}
{{- define "plugrank.needsBundle" -}}
{{- if has . (list "all" "embedding" "scoring") -}}true{{- end -}}
{{- end -}}

{{/* Whether a role runs graphs on a GPU. */}}
{{- define "plugrank.cuda" -}}
{{- if include "plugrank.needsBundle" .role -}}
{{- $settings := include "plugrank.settings" . | fromJson -}}
{{- if eq (dig "scoring" "provider" "cpu" $settings) "cuda" -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether a role keeps the embedded store. */}}
{{- define "plugrank.embedded" -}}
{{- if eq .Values.store.kind "embedded" -}}true{{- end -}}
{{- end -}}

{{/* The role whose settings and node `plugrank load` shares: the one that encodes items. */}}
{{- define "plugrank.loadRole" -}}
{{- if eq .Values.topology "split" -}}embedding{{- else -}}all{{- end -}}
{{- end -}}

{{/* Whether a ServiceMonitor is made. */}}
{{- define "plugrank.monitored" -}}
{{- $create := .Values.serviceMonitor.create -}}
{{- if or (eq $create "always") (and (eq $create "auto") (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}
true
{{- end -}}
{{- end -}}
