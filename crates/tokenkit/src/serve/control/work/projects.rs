//! Projects.

use engine::Name;
use store::{Actor, Label, Project, Writer};

use super::Precondition;
use crate::serve::control::{Control, Fault, Problem};

/// A project to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewProject {
    pub(crate) name: Name,
    pub(crate) label: Label,
}

impl Control {
    /// Makes a project, within a change.
    ///
    /// # Errors
    ///
    /// 409 where it is there; 422 for a name of which a URL cannot be made.
    pub(crate) fn create_project_in(
        &self,
        writer: &mut Writer<'_>,
        new: NewProject,
    ) -> Result<Project, Problem> {
        if matches!(new.name.as_str(), "." | "..") {
            let fault = Fault::member("name", "one or two dots name no place in a URL");
            return Err(Problem::invalid(vec![fault]));
        }
        Ok(writer.add_project(new.name, &new.label)?)
    }

    /// Gives a project another label; as it is then.
    ///
    /// # Errors
    ///
    /// 404, 412; those of [`change`](Self::change).
    pub(crate) async fn change_project(
        &self,
        actor: Actor,
        name: Name,
        seen: Precondition,
        label: Option<Label>,
    ) -> Result<Project, Problem> {
        self.change(actor, move |writer| {
            let project = writer.project(&name)?;
            seen.check(project.revision)?;
            match label {
                Some(label) => Ok(writer.change_project(&name, None, &label)?),
                None => Ok(project),
            }
        })
        .await
    }

    /// A project.
    ///
    /// # Errors
    ///
    /// 404, or the store cannot be read.
    pub(crate) async fn project(&self, name: Name) -> Result<Project, Problem> {
        self.read(move |store| Ok(store.project(&name)?)).await
    }
}
