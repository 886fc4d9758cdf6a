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

{{/* Where the certificate of a role's port is; empty where it speaks HTTP. */}}
{{- define "plugrank.tlsFolder" -}}
{{- if has .role (list "all" "gateway") -}}
{{- if .root.Values.tls.existingSecret -}}/etc/plugrank-tls{{- end -}}
{{- else if .root.Values.tls.roles.existingSecret -}}
/etc/plugrank-role-tls
{{- end -}}
{{- end -}}

{{/* Whether roles show one another certificates. Takes the root. */}}
{{- define "plugrank.mutualTls" -}}
{{- if and (eq .Values.topology "split") .Values.tls.roles.existingSecret -}}true{{- end -}}
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

{{/* Whether objects of the Prometheus operator are made: true, false, or where the cluster has it. Takes
(dict "root" $ "enabled" VALUE). */}}
{{- define "plugrank.operated" -}}
{{- if or (eq (toString .enabled) "true") (and (eq (toString .enabled) "auto") (.root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}
true
{{- end -}}
{{- end -}}

{{/* Whether a ServiceMonitor is made. */}}
{{- define "plugrank.monitored" -}}
{{- include "plugrank.operated" (dict "root" . "enabled" .Values.serviceMonitor.enabled) -}}
{{- end -}}

{{/* Whether the shop of the image is served: nothing else is named. */}}
{{- define "plugrank.shop" -}}
{{- $bundle := .Values.bundle -}}
{{- if and (eq .Values.topology "all") (include "plugrank.embedded" .) (not $bundle.image.repository) (not $bundle.existingClaim) -}}
true
{{- end -}}
{{- end -}}

{{/* Whether the embedded store is loaded before each start. */}}
{{- define "plugrank.loads" -}}
{{- if and (include "plugrank.embedded" .) (or .Values.load.enabled (include "plugrank.shop" .)) -}}true{{- end -}}
{{- end -}}

{{/* Where the shop is in the image. */}}
{{- define "plugrank.shopFolder" -}}/usr/local/share/plugrank/simshop{{- end -}}
