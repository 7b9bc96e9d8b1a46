{%- set fields = [
    'halt_id', 'namespace', 'email', 'reason', 'campaign_id', 'campaign_run_id', 'audience_id', 'variant_id',
    'journey_id', 'nqe'
] -%}

with halts as (

    select * from {{ ref('base_platform__halts') }}

),

parsed as (

    {{ json_documents('halts', 'payload', fields, says_all_else()) | indent(4) }}

)

select
    {{ id_said(json_field('document', 'halt_id')) }} as halt_id,
    {{ name_said('namespace') }} as namespace,
    {{ tidy_address(json_field('document', 'email')) }} as email,
    nullif({{ json_field('document', 'reason') }}, '') as reason,
    {{ try_bigint(json_field('document', 'campaign_id')) }} as campaign_id,
    {{ name_said('campaign_run_id') }} as campaign_run_id,
    {{ piped(json_field('document', 'audience_id')) }} as audience_id,
    nullif({{ json_field('document', 'variant_id') }}, '') as variant_id,
    {{ name_said('journey_id') }} as journey_id,
    {{ name_said('nqe') }} as nqe,
    received_at,
    event_day,
    payload,
    fault,
    file_name,
    line_number
from parsed
