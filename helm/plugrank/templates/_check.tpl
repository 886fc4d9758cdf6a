{{/* Combinations that a schema cannot refuse with a reason. Every message names the key. */}}

{{- define "plugrank.check" -}}
{{- $values := .Values -}}
{{- if and (eq $values.topology "split") (ne $values.store.kind "redis") -}}
{{- fail "store.kind must be redis with topology split: the embedded store is one file that one process owns, and five roles are five processes" -}}
{{- end -}}
{{- if eq $values.store.kind "redis" -}}
{{- $redis := $values.redis -}}
{{- $sources := compact (list $redis.existingSecret $redis.url (join "," $redis.cluster.urls) (join "," $redis.sentinel.urls) (ternary "bundled" "" $redis.bundled.enabled)) -}}
{{- if ne (len $sources) 1 -}}
{{- fail (printf "redis: store.kind redis needs exactly one of redis.existingSecret, redis.url, redis.cluster.urls, redis.sentinel.urls and redis.bundled.enabled; %d are set" (len $sources)) -}}
{{- end -}}
{{- if ne (empty $redis.sentinel.urls) (empty $redis.sentinel.master) -}}
{{- fail "redis.sentinel: urls and master go together; the master is the name by which the Sentinels know it" -}}
{{- end -}}
{{- if and $redis.auth.username (not $redis.auth.existingSecret) -}}
{{- fail "redis.auth.username needs a password: name its Secret in redis.auth.existingSecret" -}}
{{- end -}}
{{- if and $redis.auth.existingSecret $redis.bundled.enabled -}}
{{- fail "redis.auth is not for the bundled server; its password is redis.bundled.existingSecret" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $values.access.auth "none") (or $values.access.keys.existingSecret $values.access.roleToken.existingSecret) -}}
{{- fail "access.auth is none, so nobody is asked for what access.keys and access.roleToken name: leave them out, or set access.auth to keys" -}}
{{- end -}}
{{- if and (eq $values.topology "all") $values.tls.roles.existingSecret -}}
{{- fail "tls.roles is for topology split: with topology all no role calls another over the network" -}}
{{- end -}}
{{- if not (include "plugrank.shop" .) -}}
{{- include "plugrank.checkSource" (dict "key" "bundle" "of" $values.bundle) -}}
{{- end -}}
{{- if $values.load.enabled -}}
{{- include "plugrank.checkSource" (dict "key" "load.dataset" "of" $values.load.dataset) -}}
{{- end -}}
{{- include "plugrank.checkConfig" (dict "key" "config" "config" $values.config) -}}
{{- range $name, $own := $values.roles -}}
{{- include "plugrank.checkConfig" (dict "key" (printf "roles.%s.config" $name) "config" (dig "config" dict $own)) -}}
{{- end -}}
{{- include "plugrank.checkConfig" (dict "key" "roleDefaults.config" "config" $values.roleDefaults.config) -}}
{{- $root := . -}}
{{- range (include "plugrank.roles" . | fromJson).roles -}}
{{- include "plugrank.checkRole" (dict "root" $root "role" .) -}}
{{- end -}}
{{- end -}}

{{- define "plugrank.checkSource" -}}
{{- $sources := compact (list .of.image.repository .of.existingClaim) -}}
{{- if ne (len $sources) 1 -}}
{{- fail (printf "%s: set exactly one of %s.image.repository and %s.existingClaim; %d are set" .key .key .key (len $sources)) -}}
{{- end -}}
{{- end -}}

{{- define "plugrank.checkConfig" -}}
{{- $key := .key -}}
{{- $config := .config | default dict -}}
{{- range list
      (list "server" "bind" "use port and bindAddress")
      (list "server" "tls" "use tls.existingSecret")
      (list "peers" "tls" "use tls.roles.existingSecret")
      (list "access" "auth" "use access.auth")
      (list "access" "keys_file" "use access.keys")
      (list "peers" "token_file" "use access.roleToken")
      (list "store" "kind" "use store.kind")
      (list "store" "path" "the chart mounts the embedded store's volume")
      (list "store.redis" "url" "it may hold a password, which belongs in a Secret; use redis.existingSecret")
      (list "store.redis" "cluster_urls" "use redis.cluster.urls")
      (list "store.redis" "sentinel_urls" "use redis.sentinel.urls")
      (list "store.redis" "sentinel_master" "use redis.sentinel.master")
      (list "store.redis" "username" "use redis.auth.username")
      (list "store.redis" "password" "it belongs in a Secret; use redis.auth.existingSecret")
      (list "store.redis" "ca_file" "use redis.ca.existingSecret")
      (list "bundle" "path" "use bundle.path")
      (list "peers" "retrieval_url" "the chart knows the addresses of its Services")
      (list "peers" "embedding_url" "the chart knows the addresses of its Services")
      (list "peers" "scoring_url" "the chart knows the addresses of its Services")
      (list "peers" "reranking_url" "the chart knows the addresses of its Services")
      (list "retrieval.snapshot" "path" "use snapshots.enabled")
      (list "retrieval.engine.redis" "password" "it belongs in a Secret; name PLUGRANK__RETRIEVAL__ENGINE__REDIS__PASSWORD in roles.*.extraEnv") -}}
{{- $section := $config -}}
{{- range splitList "." (index . 0) -}}
{{- $section = index $section . | default dict -}}
{{- end -}}
{{- if hasKey $section (index . 1) -}}
{{- fail (printf "%s.%s.%s is set by the chart: %s" $key (index . 0) (index . 1) (index . 2)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "plugrank.checkRole" -}}
{{- $role := include "plugrank.role" . | fromJson -}}
{{- $key := printf "roles.%s" .role -}}
{{- if include "plugrank.embedded" .root -}}
{{- if gt (int $role.replicas) 1 -}}
{{- fail (printf "%s.replicas is %d, but the embedded store is one file that one process owns: keep it 1, or set store.kind to redis" $key (int $role.replicas)) -}}
{{- end -}}
{{- if $role.autoscaling.enabled -}}
{{- fail (printf "%s.autoscaling.enabled cannot be true with store.kind embedded: its one file is owned by one process; set store.kind to redis" $key) -}}
{{- end -}}
{{- end -}}
{{- if $role.autoscaling.enabled -}}
{{- if gt (int $role.autoscaling.minReplicas) (int $role.autoscaling.maxReplicas) -}}
{{- fail (printf "%s.autoscaling.minReplicas is %d, above maxReplicas, %d" $key (int $role.autoscaling.minReplicas) (int $role.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if not (or $role.autoscaling.cpuUtilization $role.autoscaling.queueAgeMs $role.autoscaling.metrics) -}}
{{- fail (printf "%s.autoscaling has nothing to go by: set cpuUtilization, queueAgeMs or metrics" $key) -}}
{{- end -}}
{{- if and $role.autoscaling.queueAgeMs (not (has .role (list "all" "embedding" "scoring"))) -}}
{{- fail (printf "%s.autoscaling.queueAgeMs: %s batches nothing, so nothing waits there; set cpuUtilization" $key .role) -}}
{{- end -}}
{{- if and $role.autoscaling.cpuUtilization (not (dig "requests" "cpu" "" $role.resources)) -}}
{{- fail (printf "%s.autoscaling.cpuUtilization is a share of the requested CPU: set %s.resources.requests.cpu" $key $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
