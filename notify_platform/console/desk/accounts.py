"""Colleagues and their roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from notify_platform.console import access, roles, second_step
from notify_platform.console.desk.base import DeskAdmin, actor_of
from notify_platform.console.desk.second_step import SecondStepPages
from notify_platform.console.models import Access
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    _PermissionsField = forms.ModelMultipleChoiceField[Permission]
    _GroupsField = forms.ModelMultipleChoiceField[Group]
    _MiniProgramsField = forms.ModelMultipleChoiceField[MiniProgram]
    _DjangoUserAdmin = DjangoUserAdmin[User]
else:
    _PermissionsField = _GroupsField = _MiniProgramsField = forms.ModelMultipleChoiceField
    _DjangoUserAdmin = DjangoUserAdmin

admin.site.unregister(User)
admin.site.unregister(Group)

# The rooms whose permissions mean something to a colleague.
_LABELS = (
    "templates_app",
    "subscriptions",
    "alerts",
    "jobs",
    "delivery",
    "callbacks",
    "api",
    "console",
    "core",
    "auth",
)
_DEEDS: dict[str, _StrPromise] = {
    "add": _("may add"),
    "change": _("may change"),
    "delete": _("may delete"),
    "view": _("may see"),
    "approve": _("may approve and refuse"),
    "operate": _("may start, pause, resume and cancel"),
    "export": _("may export"),
}


class AccountForm(UserChangeForm):  # type: ignore[misc]
    """A colleague, with the mini-programs they work with."""

    mini_programs = _MiniProgramsField(
        MiniProgram.objects.order_by("name"),
        label=_("mini-programs"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("Works with these and sees nothing of the others. None ticked: with all, also with new ones."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = Access.objects.filter(user=self.instance.pk).values_list("mini_program", flat=True)
        self.initial["mini_programs"] = list(given)


@admin.register(User)
class UserAdmin(_DjangoUserAdmin, SecondStepPages):
    """A colleague. What somebody may do comes from groups alone."""

    form = AccountForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "full_name", "group_names", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser")
    search_fields = ("username", "first_name")
    search_help_text = _("Part of a name.")
    ordering = ("username",)
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "email")}),
        (
            _("What this colleague may do"),
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "mini_programs")},
        ),
        (_("Dates"), {"fields": (("last_login", "date_joined"),)}),
    )
    add_fieldsets = (
        (
            None,
            {
                "fields": (
                    "username",
                    "first_name",
                    "usable_password",
                    "password1",
                    "password2",
                    "is_staff",
                )
            },
        ),
    )
    readonly_fields = ("last_login", "date_joined")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Ask for one name, as it is said; where a family name stands differs from language to language."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and db_field.name == "first_name":
            field.label = _("Name")
        return field

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the groups of all rows in one query."""
        return super().get_queryset(request).prefetch_related("groups")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Accounts are an administrator's: who could change them could do anything."""
        return _is_administrator(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only an administrator."""
        return _is_administrator(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only an administrator."""
        return _is_administrator(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only an administrator."""
        return _is_administrator(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What somebody did stays with their name: switch the account off instead."""
        return False

    change_form_after_template = "console/account_tools.html"

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Offer to reset the second step of a colleague who has one."""
        colleague = context.get("original")
        if colleague and second_step.phone_of(colleague):
            context["second_step_drop_url"] = reverse("admin:auth_user_second_step_drop", args=[colleague.pk])
        return super().render_change_form(request, context, *args, **kwargs)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Write the mini-programs with the roles."""
        super().save_related(request, form, formsets, change)
        if "mini_programs" in form.cleaned_data:
            access.give(form.instance, mini_programs=form.cleaned_data["mini_programs"], by=actor_of(request))

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any) -> Any:
        """Offer the roles with what they mean."""
        if db_field.name == "groups":
            return GroupsField(
                queryset=Group.objects.order_by("name"),
                required=False,
                label=_("Roles"),
                widget=UnfoldAdminCheckboxSelectMultipleWidget,
            )
        return super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[arg-type]

    @admin.display(description=_("Name"))
    def full_name(self, row: User) -> str:
        """Return the colleague's own name."""
        return row.get_full_name() or "—"

    @admin.display(description=_("Roles"))
    def group_names(self, row: User) -> str:
        """Return the roles in a line."""
        return "、".join(role_name(group) for group in row.groups.all()) or "—"


def _is_administrator(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


class GroupsField(_GroupsField):
    """Groups by what their members do."""

    def label_from_instance(self, obj: Group) -> str:
        """Return the role in words; a group made by hand has its own name."""
        return str(roles.LABELS.get(obj.name, obj.name))


class PermissionsField(_PermissionsField):
    """Permissions in the words of the desk."""

    def label_from_instance(self, obj: Permission) -> str:
        """Return the kind of thing and what may be done with it."""
        return permission_words(obj)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, DeskAdmin):
    """A role: a set of permissions."""

    list_display = ("name", "meaning")
    ordering = ("name",)
    search_fields = ("name",)
    filter_horizontal = ()

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any) -> Any:
        """Offer the permissions that mean something, in words."""
        if db_field.name == "permissions":
            rows = Permission.objects.filter(content_type__app_label__in=_LABELS).select_related("content_type")
            return PermissionsField(
                queryset=rows.order_by("content_type__app_label", "content_type__model", "codename"),
                required=False,
                label=_("Permissions"),
                widget=UnfoldAdminCheckboxSelectMultipleWidget,
            )
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @admin.display(description=_("what its members do"))
    def meaning(self, row: Group) -> str:
        """Return what a ready-made role is for."""
        return str(roles.LABELS.get(row.name, "—"))


def role_name(group: Group) -> str:
    """Return the short name of a role, translated when it is a ready-made one."""
    sentence = roles.LABELS.get(group.name)
    return str(sentence).replace("：", ":").split(":")[0] if sentence else group.name


def permission_words(permission: Permission) -> str:
    """Return a permission as "kind of thing: what may be done"."""
    model = permission.content_type.model_class()
    kind = str(model._meta.verbose_name) if model else permission.content_type.model
    deed = _DEEDS.get(permission.codename.split("_")[0])
    return gettext("%(kind)s: %(deed)s") % {"kind": kind, "deed": deed or permission.name}
