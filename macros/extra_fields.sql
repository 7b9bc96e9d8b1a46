{#
    Extra fields: what a provider says of an event and only files ask for. They are carried as one column of JSON text,
    extra_fields, so no model between staging and file names them. One is described once, as a column of esp_events with
    config.meta.extra_field: true; the provider's staging model says where it stands in a post.
#}

{# Those that esp_events has, in the order of its yml, each with name and data_type. Names all faulty entries at once. #}
{% macro extra_fields() -%}
    {%- set found, faults, staged = [], [], [] -%}
    {%- for provider in providers() if execute -%}
        {%- set node = graph.get('nodes', {}).get('model.' ~ project_name ~ '.stg_' ~ provider ~ '__events') -%}
        {%- do staged.append(node.raw_code if node else '') -%}
    {%- endfor -%}
    {%- for column in extra_field_columns() -%}
        {%- do faults.extend(column_faults(column.name, column.data_type)) -%}
        {%- if not modules.re.search("['\"]" ~ modules.re.escape(column.name) ~ "['\"] *:", staged | join) -%}
            {%- do faults.append(
                column.name ~ ': no provider in use has it: name it in posted_extra_fields of a staging model'
            ) -%}
        {%- endif -%}
        {%- do found.append({'name': column.name, 'data_type': column.data_type}) -%}
    {%- endfor -%}
    {%- if faults -%}
        {%- do exceptions.raise_compiler_error('esp_events.yml: extra fields have faults:\n  ' ~ faults | join('\n  ')) -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}


{# The columns of esp_events that are marked so, as its yml has them; in a unit test, which has no graph, none. #}
{% macro extra_field_columns() -%}
    {%- set node = graph.get('nodes', {}).get('model.' ~ project_name ~ '.esp_events') if execute -%}
    {{ return((node.columns if node else {}).values() | selectattr('config.meta.extra_field', 'true') | list) }}
{%- endmacro %}


{# In a provider's staging model: fields of a post as one JSON text, NULL where there are none. fields: expressions by name. #}
{% macro posted_extra_fields(fields) -%}
    {%- set known = extra_field_columns() | map(attribute='name') | list -%}
    {%- set unknown = fields | reject('in', known) | list if execute and 'nodes' in graph else [] -%}
    {%- if unknown -%}
        {%- do exceptions.raise_compiler_error(
            model.name ~ ': ' ~ unknown | join(', ') ~ ' in posted_extra_fields is no extra field. Add it to esp_events.yml'
            ~ ' as a column with config.meta.extra_field: true; known: ' ~ (known | join(', ') or 'none') ~ '.'
        ) -%}
    {%- endif -%}
    {%- if fields -%}
        case when ({{ fields.values() | join(') is not null or (') }}) is not null then {{ json_object(fields) }} end
    {%- else -%}
        cast(null as {{ dbt.type_string() }})
    {%- endif -%}
{%- endmacro %}


{# The rows of a relation with a column of each extra field. #}
{% macro with_extra_fields(relation) -%}
    {%- set fields = extra_fields() -%}
    {%- if not fields -%}
        select * from {{ relation }}
    {%- else -%}
        with documented as (

            {{ json_documents(relation, 'extra_fields', fields | map(attribute='name') | list, 'extra_fields is not null')
                | indent(12) }}

        )

        select
            *,
            {%- for field in fields %}
            {{ typed(json_field('document', field.name), field.data_type) }} as {{ field.name }}{{ ',' if not loop.last }}
            {%- endfor %}
        from documented
    {%- endif -%}
{%- endmacro %}
